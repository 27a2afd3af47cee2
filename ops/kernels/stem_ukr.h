/* The tiles of conv_ukr.h for plain input with few channels. */
#define CONV_STEM 1
#include "conv_ukr.h"

#define TAKE(S) for (int64_t i = 0; i < n; i++) to[i] = from[i * (S)]
/* n floats, every step-th one; the usual steps are constants so that they vectorise. */
static inline void stem_take(float *to, const float *from, int64_t n, int64_t step) {
    if (step == 1) TAKE(1);
    else if (step == 2) TAKE(2);
    else if (step == 4) TAKE(4);
    else TAKE(step);
}
#undef TAKE
