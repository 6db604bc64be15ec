/* The element-wise work between two matrix products, one pass over memory each.
 *
 * C11 with the vector types that gcc and clang both know, and no library but libc.
 * Compiled when an engine is loaded (kernels.py); every function has a twin in
 * PyTorch operations that takes over where there is no compiler. Numbers are
 * float32 inside; bfloat16 is read and written, rounded to nearest even, once.
 */
#include "vectors.h"

/* log-sum-exp carried on over blocks of columns: top[i] and sum[i] such that the
 * result is top + log(sum); start with -inf and 0. */
void lse_f32(const float *z, long rows, long cols, long stride, float *top, float *sum) {
  long whole = cols - cols % LANES;
  for (long i = 0; i < rows; i++) {
    const float *row = z + i * stride;
    vf high = fill(-INFINITY), s = fill(0.0f);
    for (long j = 0; j < whole; j += LANES) high = larger(load_f32(row + j), high);
    float m = maximum(high), rest = 0.0f;
    for (long j = whole; j < cols; j++) m = row[j] > m ? row[j] : m;
    m = m > top[i] ? m : top[i];
    vf by = fill(m);
    for (long j = 0; j < whole; j += LANES) s += exponential(load_f32(row + j) - by);
    for (long j = whole; j < cols; j++) rest += expf(row[j] - m);
    sum[i] = sum[i] * (top[i] == m ? 1.0f : expf(top[i] - m)) + total(s) + rest;
    top[i] = m;
  }
}

/* Widths and head sizes are multiples of LANES (half rotations too): fused.py and attention.py ask. */
#define KERNELS(T, NAME)                                                                      \
  /* y = w * x / sqrt(mean(x^2) + eps), row by row */                                         \
  void rms_norm_##NAME(const T *x, const float *w, T *y, long rows, long width, float eps) {  \
    for (long i = 0; i < rows; i++, x += width, y += width) {                                 \
      vf s = fill(0.0f);                                                                      \
      for (long j = 0; j < width; j += LANES) {                                               \
        vf v = load_##NAME(x + j);                                                            \
        s += v * v;                                                                           \
      }                                                                                       \
      float r = 1.0f / sqrtf(total(s) / (float)width + eps);                                  \
      for (long j = 0; j < width; j += LANES)                                                 \
        store_##NAME(y + j, load_f32(w + j) * (load_##NAME(x + j) * r));                      \
    }                                                                                         \
  }                                                                                           \
  /* gate_up (rows, 2 * width) -> silu(gate) * up (rows, width) */                            \
  void silu_mul_##NAME(const T *gate_up, T *y, long rows, long width) {                       \
    for (long i = 0; i < rows; i++, gate_up += 2 * width, y += width)                         \
      for (long j = 0; j < width; j += LANES) {                                               \
        vf g = load_##NAME(gate_up + j), u = load_##NAME(gate_up + width + j);                \
        vf low = exponential(-larger(fill(-87.0f), g));                                       \
        store_##NAME(y + j, g / (low + 1.0f) * u);                                            \
      }                                                                                       \
  }                                                                                           \
  /* One head: its norm (where there is one), and the rotation of its first `rot` numbers, */ \
  /* pairs half a rotation apart. */                                                          \
  static inline void turn_##NAME(const T *a, T *b, const float *cosine, const float *sine,    \
                                 const float *norm, float eps, long dim, long rot) {          \
    vf r = fill(1.0f);                                                                        \
    long half = rot / 2;                                                                      \
    if (norm) {                                                                               \
      vf s = fill(0.0f);                                                                      \
      for (long j = 0; j < dim; j += LANES) {                                                 \
        vf v = load_##NAME(a + j);                                                            \
        s += v * v;                                                                           \
      }                                                                                       \
      r = fill(1.0f / sqrtf(total(s) / (float)dim + eps));                                    \
    }                                                                                         \
    for (long j = 0; j < half; j += LANES) {                                                  \
      vf u = load_##NAME(a + j) * r, v = load_##NAME(a + half + j) * r;                       \
      vf c = load_f32(cosine + j), s = load_f32(sine + j);                                    \
      if (norm) {                                                                             \
        u *= load_f32(norm + j);                                                              \
        v *= load_f32(norm + half + j);                                                       \
      }                                                                                       \
      store_##NAME(b + j, u * c - v * s);                                                     \
      store_##NAME(b + half + j, v * c + u * s);                                              \
    }                                                                                         \
    for (long j = rot; j < dim; j += LANES) {                                                 \
      vf u = load_##NAME(a + j) * r;                                                          \
      store_##NAME(b + j, norm ? u * load_f32(norm + j) : u);                                 \
    }                                                                                         \
  }                                                                                           \
  /* qkv (rows, (kv_heads * group + 2 * kv_heads) * dim) -> q (kv_heads, rows, group, dim), */\
  /* k and v (kv_heads, kv_rows, dim), rows of it written; q and k normed and rotated. */     \
  void split_rotate_##NAME(const T *qkv, const float *cosine, const float *sine,              \
                           const float *q_norm, const float *k_norm, float eps, T *q, T *k,   \
                           T *v, long rows, long kv_rows, long kv_heads, long group,          \
                           long dim, long rot) {                                              \
    long heads = kv_heads * group;                                                            \
    for (long i = 0; i < rows; i++, cosine += rot / 2, sine += rot / 2) {                     \
      for (long h = 0; h < heads; h++, qkv += dim)                                            \
        turn_##NAME(qkv, q + (((h / group) * rows + i) * group + h % group) * dim, cosine,    \
                    sine, q_norm, eps, dim, rot);                                             \
      for (long h = 0; h < kv_heads; h++, qkv += dim)                                         \
        turn_##NAME(qkv, k + (h * kv_rows + i) * dim, cosine, sine, k_norm, eps, dim, rot);   \
      for (long h = 0; h < kv_heads; h++, qkv += dim)                                         \
        memcpy(v + (h * kv_rows + i) * dim, qkv, (size_t)dim * sizeof(T));                    \
    }                                                                                         \
  }                                                                                           \
  /* Softmax in place over the first `before + (i % rows) / group + 1` of the scores of row */\
  /* i, zeros after them; scores are scaled, and capped where cap > 0. `cols` is a multiple */\
  /* of LANES, `scratch` holds as many numbers. */                                            \
  void causal_softmax_##NAME(T *scores, float *scratch, long batches, long rows, long cols,   \
                             long group, long before, float scale, float cap) {               \
    vi lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};                         \
    for (long b = 0; b < batches; b++)                                                        \
      for (long i = 0; i < rows; i++, scores += cols) {                                       \
        long count = before + i / group + 1, j;                                               \
        count = count > cols ? cols : count;                                                  \
        vf high = fill(-INFINITY), s = fill(0.0f);                                            \
        for (j = 0; j < count; j += LANES) {                                                  \
          vf v = load_##NAME(scores + j) * scale;                                             \
          if (cap > 0.0f)                                                                     \
            for (int l = 0; l < LANES; l++) v[l] = cap * tanhf(v[l] / cap);                   \
          if (j + LANES > count) v = choose(lane < (int32_t)(count - j), v, fill(-INFINITY)); \
          high = larger(v, high);                                                             \
          store_f32(scratch + j, v);                                                          \
        }                                                                                     \
        vf m = fill(maximum(high));                                                           \
        for (j = 0; j < count; j += LANES) {                                                  \
          vf e = exponential(load_f32(scratch + j) - m);                                      \
          s += e;                                                                             \
          store_f32(scratch + j, e);                                                          \
        }                                                                                     \
        vf r = fill(1.0f / total(s));                                                         \
        for (j = 0; j < count; j += LANES)                                                    \
          store_##NAME(scores + j, load_f32(scratch + j) * r);                                \
        for (; j < cols; j += LANES) store_##NAME(scores + j, fill(0.0f));                    \
      }                                                                                       \
  }

KERNELS(float, f32)
KERNELS(bf16, bf16)

#if defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__linux__)
#include "tiles.h"
#include "tiles_bf16.h"
#include "tiles_f32.h"
#else
int tiles_ready(void) { return 0; }
#endif
