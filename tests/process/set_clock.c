/* The machine's clock is off by the seconds that the file CLOCK_OFF holds, read at each look. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long off(void) {
    const char *name = getenv("CLOCK_OFF");
    char text[32] = {0};
    if (!name) return 0;
    int file = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    long seconds = syscall(SYS_read, file, text, sizeof text - 1) > 0 ? atol(text) : 0;
    syscall(SYS_close, file);
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *found) {
    int failed = (int)syscall(SYS_clock_gettime, clock, found);
    if (!failed && clock == CLOCK_REALTIME) found->tv_sec += off();
    return failed;
}

/* The clock of a PostgreSQL server. */
int gettimeofday(struct timeval *found, void *zone) {
    int failed = (int)syscall(SYS_gettimeofday, found, zone);
    if (!failed && found) found->tv_sec += off();
    return failed;
}
