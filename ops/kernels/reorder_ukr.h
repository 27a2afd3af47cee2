/* Transposes of 4 x 4 floats between planes and pixels of 16. */
#ifndef CYNFER_REORDER_UKR_H
#define CYNFER_REORDER_UKR_H
#include <stdint.h>

typedef float reorder_v __attribute__((vector_size(16)));
typedef float reorder_u __attribute__((vector_size(16), aligned(4)));
typedef int32_t reorder_i __attribute__((vector_size(16)));

/* Rows of 4 at `from` (pitch `rows`) become columns at `to` (pitch `columns`). */
static inline void reorder_4x4(const float *from, int64_t rows, float *to, int64_t columns) {
    const reorder_v a = *(const reorder_u *)from, b = *(const reorder_u *)(from + rows);
    const reorder_v c = *(const reorder_u *)(from + 2 * rows), d = *(const reorder_u *)(from + 3 * rows);
    const reorder_v ab = __builtin_shuffle(a, b, (reorder_i){0, 4, 1, 5});
    const reorder_v AB = __builtin_shuffle(a, b, (reorder_i){2, 6, 3, 7});
    const reorder_v cd = __builtin_shuffle(c, d, (reorder_i){0, 4, 1, 5});
    const reorder_v CD = __builtin_shuffle(c, d, (reorder_i){2, 6, 3, 7});
    *(reorder_u *)to = __builtin_shuffle(ab, cd, (reorder_i){0, 1, 4, 5});
    *(reorder_u *)(to + columns) = __builtin_shuffle(ab, cd, (reorder_i){2, 3, 6, 7});
    *(reorder_u *)(to + 2 * columns) = __builtin_shuffle(AB, CD, (reorder_i){0, 1, 4, 5});
    *(reorder_u *)(to + 3 * columns) = __builtin_shuffle(AB, CD, (reorder_i){2, 3, 6, 7});
}
#endif
