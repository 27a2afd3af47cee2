/* Matrix products in registers: float32 and float64, one source for every instruction set.
 *
 * B is packed in panels [K][NR] of 128 bytes a row (NR = 32 floats or 16 doubles); narrower vectors take a panel in
 * two or four passes. CYN_MR rows by two vectors fill the register file.
 */
#ifndef CYN_GEMM_UKR_H
#define CYN_GEMM_UKR_H
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#define CYN_VB 64
#define CYN_MR 14
#elif defined(__AVX2__)
#define CYN_VB 32
#define CYN_MR 6
#else
#define CYN_VB 16
#define CYN_MR 6
#endif

/* Keeps row pointers in registers: left alone, gcc turns them into one index and runs out of registers. */
#define CYN_KEEP(a, b, c, d, e) __asm__("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e))

/* Row i is element j of the row pointer p: three rows a pointer, so that an x86 address reaches each. */
#define CYN_R1(F) F(0, p0, 0)
#define CYN_R2(F) CYN_R1(F) F(1, p0, 1)
#define CYN_R3(F) CYN_R2(F) F(2, p0, 2)
#define CYN_R4(F) CYN_R3(F) F(3, p1, 0)
#define CYN_R5(F) CYN_R4(F) F(4, p1, 1)
#define CYN_R6(F) CYN_R5(F) F(5, p1, 2)
#define CYN_R7(F) CYN_R6(F) F(6, p2, 0)
#define CYN_R8(F) CYN_R7(F) F(7, p2, 1)
#define CYN_R9(F) CYN_R8(F) F(8, p2, 2)
#define CYN_R10(F) CYN_R9(F) F(9, p3, 0)
#define CYN_R11(F) CYN_R10(F) F(10, p3, 1)
#define CYN_R12(F) CYN_R11(F) F(11, p3, 2)
#define CYN_R13(F) CYN_R12(F) F(12, p4, 0)
#define CYN_R14(F) CYN_R13(F) F(13, p4, 1)

/* A piece of a packed row: `size` values from x[from], x[from + step] ..., or zeros if from < 0, go to y[to]. */
enum { CYN_TAPS = 256 };
typedef struct CynRun { int64_t from; int32_t to, size; } CynRun;

#define CYN_T float
#define CYN_S f32
#include "gemm_tile.h"
#define CYN_T double
#define CYN_S f64
#include "gemm_tile.h"
#endif
