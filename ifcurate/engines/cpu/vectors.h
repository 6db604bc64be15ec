/* Vectors of 16 numbers, with the types that gcc and clang both know. */
#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#define LANES 16
typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * LANES)));
typedef uint16_t vh __attribute__((vector_size(2 * LANES)));
typedef uint16_t bf16;

static inline vf fill(float x) { return x - (vf){0}; }
static inline vf choose(vi mask, vf yes, vf no) {
  return (vf)(((vi)yes & mask) | ((vi)no & ~mask));
}
/* The second where either is a NaN. */
static inline vf larger(vf a, vf b) {
#ifdef __AVX512F__
  return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#else
  return choose(a > b, a, b);
#endif
}

static inline vf load_f32(const float *p) {
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}
static inline void store_f32(float *p, vf v) { memcpy(p, &v, sizeof v); }
static inline vf load_bf16(const bf16 *p) {
  vh h;
  memcpy(&h, p, sizeof h);
  return (vf)(__builtin_convertvector(h, vu) << 16);
}
static inline void store_bf16(bf16 *p, vf v) {
#ifdef __AVX512BF16__
  __m256bh h = _mm512_cvtneps_pbh((__m512)v);
  memcpy(p, &h, sizeof h);
#else
  vu u = (vu)v;
  vu rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  vu nan = (vu)(v != v); /* rounding up would make some of them infinite */
  vh h = __builtin_convertvector((rounded & ~nan) | (nan & 0x7fc0u), vh);
  memcpy(p, &h, sizeof h);
#endif
}
/* Halves folded onto halves: one number after another would wait on each other. */
static inline float total(vf v) {
  float a[LANES];
  memcpy(a, &v, sizeof v);
  for (int width = LANES / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++) a[i] += a[i + width];
  return a[0];
}
static inline float maximum(vf v) {
  float a[LANES];
  memcpy(a, &v, sizeof v);
  for (int width = LANES / 2; width > 0; width /= 2)
    for (int i = 0; i < width; i++) a[i] = a[i] > a[i + width] ? a[i] : a[i + width];
  return a[0];
}

/* exp within 2 units in the last place for x <= 88, 0 below -75: beside an exp(0) that is
 * nothing, and numbers too small to be normal slow down the products that they go into by
 * a factor of ten. A NaN stays one. Adding 1.5 * 2^23 rounds to an integer, found in the
 * low bits. */
static inline vf exponential(vf x) {
  vi gone = x < -75.0f;
  x = larger(fill(-75.0f), x);
  vf shifted = x * 1.44269504088896341f + 12582912.0f;
  vf n = shifted - 12582912.0f;
  vf r = x - n * 0.693359375f + n * 2.12194440e-4f;
  vf p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  return choose(gone, fill(0.0f), (vf)((vi)p + ((vi)shifted << 23)));
}
