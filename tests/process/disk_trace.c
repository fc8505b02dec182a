/* Writes down what is done to the files of a folder: TRACE names the trace, TRACED the folder. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static void put(const void *bytes, size_t size) {
    static int trace = -1;
    if (trace < 0) trace = (int)syscall(SYS_openat, AT_FDCWD, getenv("TRACE"), O_WRONLY | O_CREAT | O_APPEND, 0600);
    while (size) {
        ssize_t done = syscall(SYS_write, trace, bytes, size);
        if (done <= 0) abort();
        bytes = (const char *)bytes + done;
        size -= (size_t)done;
    }
}

static int ours(const char *path) {
    const char *folder = getenv("TRACED");
    return folder && !strncmp(path, folder, strlen(folder)) && !strstr(path, "-shm");
}

/* One record: what it is, offset or size, bytes of the path, bytes of what follows; then both. */
static void record(char what, const char *path, int64_t at, const void *bytes, uint32_t size) {
    uint32_t length = (uint32_t)strlen(path);
    char head[17];
    head[0] = what;
    memcpy(head + 1, &at, 8);
    memcpy(head + 9, &length, 4);
    memcpy(head + 13, &size, 4);
    put(head, sizeof head);
    put(path, length);
    if (size) put(bytes, size);
}

static int path_of(int descriptor, char *path, size_t room) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = readlink(link, path, room - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return ours(path);
}

ssize_t pwrite64(int d, const void *b, size_t n, off_t at) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    char path[512];
    ssize_t done = real(d, b, n, at);
    if (done > 0 && path_of(d, path, sizeof path)) record('w', path, at, b, (uint32_t)done);
    return done;
}

ssize_t pwrite(int d, const void *b, size_t n, off_t at) { return pwrite64(d, b, n, at); }

ssize_t write(int d, const void *b, size_t n) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    char path[512];
    ssize_t done = real(d, b, n);
    if (done > 0 && d > 2 && path_of(d, path, sizeof path))
        record('w', path, lseek(d, 0, SEEK_CUR) - done, b, (uint32_t)done);
    return done;
}

static int synced(const char *name, int d) {
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    char path[512];
    int done = real(d);
    if (!done && path_of(d, path, sizeof path)) record('s', path, 0, NULL, 0);
    return done;
}

int fsync(int d) { return synced("fsync", d); }
int fdatasync(int d) { return synced("fdatasync", d); }

int ftruncate64(int d, off_t size) {
    static int (*real)(int, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "ftruncate64");
    char path[512];
    int done = real(d, size);
    if (!done && path_of(d, path, sizeof path)) record('t', path, size, NULL, 0);
    return done;
}

int ftruncate(int d, off_t size) { return ftruncate64(d, size); }

int unlink(const char *path) {
    static int (*real)(const char *);
    if (!real) real = dlsym(RTLD_NEXT, "unlink");
    int done = real(path);
    if (!done && ours(path)) record('u', path, 0, NULL, 0);
    return done;
}

int rename(const char *from, const char *to) {
    static int (*real)(const char *, const char *);
    if (!real) real = dlsym(RTLD_NEXT, "rename");
    int done = real(from, to);
    if (!done && ours(from)) record('r', from, 0, to, (uint32_t)strlen(to));
    return done;
}
