/* Makes the n-th call on a spool file fail: FAULT=write|sync|truncate|unlink|rename:eio|enospc|short|torn|kill:n
   With another FAULT it only counts: calls_counted() tells, calls_forget() begins anew. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum call { WRITE, SYNC, TRUNCATE, UNLINK, RENAME, CALLS };
static const char *names[CALLS] = {"write", "sync", "truncate", "unlink", "rename"};
static long counted[CALLS];

long calls_counted(int call) { return counted[call]; }
void calls_forget(void) { memset(counted, 0, sizeof counted); }

static int ours(const char *path) {
    return (strstr(path, "inbox-") || strstr(path, "outbox-")) && !strstr(path, "-shm");
}

static int folder_of(int descriptor, const char *path) {
    return strlen(path) > 6 && !strcmp(path + strlen(path) - 6, "/spool") && descriptor > 2;
}

/* Returns the fault's letter when this call is the one, 0 otherwise: i, n, s, t, k. */
static char strikes(enum call call, const char *path) {
    const char *fault = getenv("FAULT");
    char name[16] = "", kind[16] = "";
    long place = 0;
    if (!fault || !ours(path)) return 0;
    ++counted[call];
    if (sscanf(fault, "%15[^:]:%15[^:]:%ld", name, kind, &place) != 3) return 0;
    if (strcmp(name, names[call]) || counted[call] != place) return 0;
    fprintf(stderr, "fault %s at %s %ld of %s\n", kind, name, place, path);
    return kind[0] == 'e' ? (kind[1] == 'i' ? 'i' : 'n') : kind[0];
}

static char strikes_open(enum call call, int descriptor) {
    char link[64], path[512];
    if (!getenv("FAULT")) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = readlink(link, path, sizeof path - 8);
    if (size < 0) return 0;
    path[size] = 0;
    if (folder_of(descriptor, path)) strcat(path, "/inbox-");
    return strikes(call, path);
}

/* Returns 1 when the call failed, with errno set; does not return when the process is to die. */
static int failed(char kind) {
    if (kind == 'i' || kind == 'n') {
        errno = kind == 'i' ? EIO : ENOSPC;
        return 1;
    }
    if (kind) kill(getpid(), SIGKILL);
    return 0;
}

static ssize_t faulty(char kind, ssize_t (*go)(int, const void *, size_t, off_t), int d, const void *b, size_t n, off_t at) {
    if (kind == 's') return go(d, b, n / 2, at);
    if (kind == 't') go(d, b, n / 2, at); /* torn: half of it, and then the process is gone */
    failed(kind);
    return -1;
}

ssize_t pwrite64(int d, const void *b, size_t n, off_t at) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    char kind = strikes_open(WRITE, d);
    return kind ? faulty(kind, real, d, b, n, at) : real(d, b, n, at);
}

ssize_t pwrite(int d, const void *b, size_t n, off_t at) { return pwrite64(d, b, n, at); }

static ssize_t plain(int d, const void *b, size_t n, off_t at) {
    static ssize_t (*real)(int, const void *, size_t);
    (void)at;
    if (!real) real = dlsym(RTLD_NEXT, "write");
    return real(d, b, n);
}

ssize_t write(int d, const void *b, size_t n) {
    char kind = d > 2 ? strikes_open(WRITE, d) : 0;
    return kind ? faulty(kind, plain, d, b, n, 0) : plain(d, b, n, 0);
}

static int synced(const char *name, int d) {
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    return failed(strikes_open(SYNC, d)) ? -1 : real(d);
}

int fsync(int d) { return synced("fsync", d); }
int fdatasync(int d) { return synced("fdatasync", d); }

int ftruncate64(int d, off_t size) {
    static int (*real)(int, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "ftruncate64");
    return failed(strikes_open(TRUNCATE, d)) ? -1 : real(d, size);
}

int ftruncate(int d, off_t size) { return ftruncate64(d, size); }

int unlink(const char *path) {
    static int (*real)(const char *);
    if (!real) real = dlsym(RTLD_NEXT, "unlink");
    return failed(strikes(UNLINK, path)) ? -1 : real(path);
}

int rename(const char *from, const char *to) {
    static int (*real)(const char *, const char *);
    if (!real) real = dlsym(RTLD_NEXT, "rename");
    return failed(strikes(RENAME, from)) ? -1 : real(from, to);
}
