/* What a kernel is given, and how it reports: the contract between plans and kernels.
 *
 * A kernel is `int f(const Args *a, Ctl *ctl, int tid, int nt)`. It is called once by each of nt threads, does the
 * share of the work that belongs to tid, and returns 0. Shares are cut on a grid that depends on the sizes alone, so
 * that results do not depend on nt. A kernel opens no parallel region, allocates nothing and holds no Python object.
 */
#ifndef CYNFER_ABI_H
#define CYNFER_ABI_H
#include <stdint.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

typedef struct Args {
    void *const *p;        /* operands: inputs, outputs, shared scratch; NULL for an absent optional one */
    const int64_t *n;      /* sizes and other integers */
    const double *f;       /* scalars */
    char *scratch;         /* private scratch of the calling thread, 64-byte aligned */
    int64_t scratch_bytes; /* 0: the caller's way from one thread's scratch to the next, not for kernels */
} Args;

/* A bad value that a kernel met. `where` orders faults: the smallest wins, so that the message does not depend on
 * threads. The meaning of got, low and high (the allowed range, inclusive) follows from code; see ops/faults.py. */
typedef struct Fault { int64_t where, got, low, high; int32_t code, pad; } Fault;

typedef struct Ctl {
    volatile int32_t stop;          /* nonzero: leave soon; outputs will be thrown away */
    int32_t reason;                 /* why: 1 signal, 2 deadline, 3 cancelled */
    int64_t deadline;               /* monotonic ns, or 0 */
    volatile int64_t next_poll;     /* monotonic ns at which thread 0 next calls poll */
    int (*poll)(struct Ctl *);      /* lets signals through; returns nonzero to stop */
    Fault *faults;                  /* one per thread; code 0 = none */
    volatile int32_t faulted;       /* nonzero once any thread reported a fault */
    void *owner;                    /* for poll */
    int64_t pad[8];
} Ctl;

static inline int64_t cyn_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Ask about every millisecond of work or less; costs about 25 ns in thread 0, 1 ns in the others. */
static inline int cyn_stop(Ctl *c, int tid) {
    if (c->stop) return 1;
    if (tid == 0 && c->poll) {
        int64_t now = cyn_now();
        if (c->deadline && now > c->deadline) { c->reason = 2; c->stop = 1; return 1; }
        if (now > c->next_poll) {
            c->next_poll = now + 20000000;
            if (c->poll(c)) { c->reason = 1; c->stop = 1; return 1; }
        }
    }
    return 0;
}

static inline void cyn_fault(Ctl *c, int tid, int32_t code, int64_t where, int64_t got, int64_t low, int64_t high) {
    Fault *f = c->faults + tid;
    c->faulted = 1;
    if (f->code == 0 || where < f->where) {
        f->where = where; f->got = got; f->low = low; f->high = high; f->code = code;
    }
}

/* Thread tid's part [*lo, *hi) of n equal units. Use it on whole grid units (tiles, rows, chunks), never on elements
 * where a vector tail would make the result depend on the cut. */
static inline void cyn_share(int64_t n, int tid, int nt, int64_t *lo, int64_t *hi) {
    *lo = n / nt * tid + (n % nt * tid) / nt;
    *hi = n / nt * (tid + 1) + (n % nt * (tid + 1)) / nt;
}
#endif
