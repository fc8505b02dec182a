/* Makes the n-th write or sync of a spool file fail: FAULT=write|sync:eio|enospc|short|torn|kill:n */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long counted_writes, counted_syncs;

static int ours(int descriptor) {
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return strstr(path, "inbox-") != NULL;
}

/* Returns the fault's letter when this call is the one, 0 otherwise. */
static char strikes(const char *call, int descriptor, long *counted) {
    const char *fault = getenv("FAULT");
    char name[16], kind[16];
    long place;
    if (!fault || sscanf(fault, "%15[^:]:%15[^:]:%ld", name, kind, &place) != 3) return 0;
    if (strcmp(name, call) || !ours(descriptor)) return 0;
    if (++*counted != place) return 0;
    fprintf(stderr, "fault %s at %s %ld\n", kind, call, place);
    return kind[0] == 'e' ? (kind[1] == 'i' ? 'i' : 'n') : kind[0];
}

static ssize_t faulty(char kind, ssize_t (*go)(int, const void *, size_t, off_t), int d, const void *b, size_t n, off_t at) {
    switch (kind) {
        case 'i': errno = EIO; return -1;
        case 'n': errno = ENOSPC; return -1;
        case 's': return go(d, b, n / 2, at);
        case 't': go(d, b, n / 2, at); /* torn: half of it, and then the process is gone */
        default: kill(getpid(), SIGKILL); return -1;
    }
}

ssize_t pwrite64(int d, const void *b, size_t n, off_t at) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    char kind = strikes("write", d, &counted_writes);
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
    char kind = d > 2 ? strikes("write", d, &counted_writes) : 0;
    return kind ? faulty(kind, plain, d, b, n, 0) : plain(d, b, n, 0);
}

static int synced(const char *name, int d) {
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    char kind = strikes("sync", d, &counted_syncs);
    if (kind == 'i' || kind == 'n') { errno = kind == 'i' ? EIO : ENOSPC; return -1; }
    if (kind) kill(getpid(), SIGKILL);
    return real(d);
}

int fsync(int d) { return synced("fsync", d); }
int fdatasync(int d) { return synced("fdatasync", d); }
