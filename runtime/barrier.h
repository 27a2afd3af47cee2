/* A barrier for the threads of one parallel region: spins for a bounded time, then sleeps on a futex, so that more
 * threads than cores make it slow, not stuck, and nothing spins for long. The last thread to arrive decides whether
 * all go on, so that every thread leaves a stretch at the same step. */
#ifndef CYNFER_BARRIER_H
#define CYNFER_BARRIER_H
#include <limits.h>
#include <stdint.h>
#include <unistd.h>
#include <sys/syscall.h>
#include <linux/futex.h>

typedef struct Barrier { int32_t waiting, phase, go, sleepers; } Barrier;

static inline void cyn_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Returns 1 to go on, 0 to leave: the last thread to arrive looks at the flags, so that it sees what any other set
 * before it arrived. */
static inline int cyn_barrier(Barrier *b, int nt, const volatile int32_t *stop, const volatile int32_t *faulted) {
    if (nt == 1) return !(*stop || *faulted);
    int32_t phase = __atomic_load_n(&b->phase, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&b->waiting, 1, __ATOMIC_ACQ_REL) == nt) {
        int go = !(*stop || *faulted);
        b->waiting = 0;
        b->go = go;
        __atomic_store_n(&b->phase, phase + 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&b->sleepers, __ATOMIC_SEQ_CST))
            syscall(SYS_futex, &b->phase, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
        return go;
    }
    for (int i = 0; i < 4000; i++) {
        if (__atomic_load_n(&b->phase, __ATOMIC_ACQUIRE) != phase) return b->go;
        cyn_relax();
    }
    __atomic_add_fetch(&b->sleepers, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&b->phase, __ATOMIC_SEQ_CST) == phase)
        syscall(SYS_futex, &b->phase, FUTEX_WAIT_PRIVATE, phase, NULL, NULL, 0);
    __atomic_sub_fetch(&b->sleepers, 1, __ATOMIC_SEQ_CST);
    return b->go;
}

/* fork(): libgomp's threads do not survive it; giving them up before makes the child able to start its own. */
#include <pthread.h>
#include <omp.h>
static void cyn_before_fork(void) { omp_pause_resource_all(omp_pause_hard); }
static inline int cyn_watch_fork(void) { return pthread_atfork(cyn_before_fork, NULL, NULL); }
#endif
