"""What this CPU and this operating system can run. Baseline code: asked before any stronger build is imported."""

cdef extern from *:
    """
    #include <stdint.h>
    #if defined(__x86_64__)
    #include <cpuid.h>
    static void cyn_cpuid(unsigned leaf, unsigned sub, unsigned r[4]) {
        if (!__get_cpuid_count(leaf, sub, r, r + 1, r + 2, r + 3)) r[0] = r[1] = r[2] = r[3] = 0;
    }
    static unsigned long long cyn_xcr0(void) {
        unsigned lo, hi;
        __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
        return ((unsigned long long)hi << 32) | lo;
    }
    #else
    static void cyn_cpuid(unsigned leaf, unsigned sub, unsigned r[4]) { r[0] = r[1] = r[2] = r[3] = 0; }
    static unsigned long long cyn_xcr0(void) { return 0; }
    #endif
    """
    void cyn_cpuid(unsigned leaf, unsigned sub, unsigned* r) nogil
    unsigned long long cyn_xcr0() nogil

# feature: (leaf, subleaf, register, bit, bits that the operating system must have set in XCR0)
_SSE, _AVX, _AVX512, _AMX = 0x2, 0x6, 0xE6, 0x60006
_BITS = {
    "sse3": (1, 0, 2, 0, 0), "ssse3": (1, 0, 2, 9, 0), "sse4.1": (1, 0, 2, 19, 0), "sse4.2": (1, 0, 2, 20, 0),
    "popcnt": (1, 0, 2, 23, 0), "movbe": (1, 0, 2, 22, 0), "avx": (1, 0, 2, 28, _AVX), "f16c": (1, 0, 2, 29, _AVX),
    "fma": (1, 0, 2, 12, _AVX), "bmi": (7, 0, 1, 3, 0), "bmi2": (7, 0, 1, 8, 0), "avx2": (7, 0, 1, 5, _AVX),
    "lzcnt": (0x80000001, 0, 2, 5, 0),
    "avx512f": (7, 0, 1, 16, _AVX512), "avx512dq": (7, 0, 1, 17, _AVX512), "avx512cd": (7, 0, 1, 28, _AVX512),
    "avx512bw": (7, 0, 1, 30, _AVX512), "avx512vl": (7, 0, 1, 31, _AVX512), "avx512vnni": (7, 0, 2, 11, _AVX512),
    "avx512bf16": (7, 1, 0, 5, _AVX512), "amx-bf16": (7, 0, 3, 22, _AMX), "amx-tile": (7, 0, 3, 24, _AMX),
    "amx-int8": (7, 0, 3, 25, _AMX),
}


def features() -> frozenset:
    """Names of the features, out of those that some build needs, which CPU and operating system both offer."""
    cdef unsigned r[4]
    cdef unsigned long long xcr0 = 0
    cyn_cpuid(1, 0, r)
    if r[2] >> 27 & 1:  # OSXSAVE
        xcr0 = cyn_xcr0()
    found = set()
    for name, (leaf, sub, register, bit, needs) in _BITS.items():
        cyn_cpuid(leaf, sub, r)
        if r[<int>register] >> <int>bit & 1 and (xcr0 & <unsigned long long>needs) == <unsigned long long>needs:
            found.add(name)
    return frozenset(found)


def model_name() -> str:
    """The processor's brand string, or '' where it has none."""
    cdef unsigned r[4]
    text = b""
    cyn_cpuid(0x80000000, 0, r)
    if r[0] < 0x80000004:
        return ""
    for leaf in range(0x80000002, 0x80000005):
        cyn_cpuid(leaf, 0, r)
        text += (<char*> r)[:16]
    return text.split(b"\0")[0].decode("ascii", "replace").strip()
