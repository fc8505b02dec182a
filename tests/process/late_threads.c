/* Holds a thread that has handed its result to the main thread until the process ends: for LD_PRELOAD.

   A library's thread that woke the main thread up still lets go of what it worked on. It is held before that,
   until the main thread calls `end_is_near`. Called by ctypes.PyDLL, that keeps the interpreter's lock: for
   long enough that the held thread asks for it, and until the interpreter ends when no byte code follows. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOCK_KEPT_US 200000
#define STEP_US 1000
#define STEPS_MAX 60000

static _Atomic(pthread_cond_t *) awaited; /* what the main thread waits for */
static atomic_int held, ending;
static _Thread_local int handed_over;

static int is_main(void) { return syscall(SYS_gettid) == getpid(); }

int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *);
    if (!real) real = dlvsym(RTLD_NEXT, "pthread_cond_wait", "GLIBC_2.3.2");
    if (is_main()) awaited = cond;
    int found = real(cond, mutex);
    if (is_main()) awaited = NULL;
    return found;
}

int pthread_cond_broadcast(pthread_cond_t *cond) {
    static int (*real)(pthread_cond_t *);
    if (!real) real = dlvsym(RTLD_NEXT, "pthread_cond_broadcast", "GLIBC_2.3.2");
    handed_over = awaited == cond && !is_main();
    return real(cond);
}

/* Not within the broadcast: the main thread needs the mutex to go on. */
int pthread_mutex_unlock(pthread_mutex_t *mutex) {
    static int (*real)(pthread_mutex_t *);
    if (!real) real = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
    int found = real(mutex);
    if (handed_over) {
        handed_over = 0;
        held++;
        for (int step = 0; step < STEPS_MAX && !ending; step++) usleep(STEP_US);
    }
    return found;
}

int threads_held(void) { return held; }

void end_is_near(void) {
    ending = 1;
    usleep(LOCK_KEPT_US);
}
