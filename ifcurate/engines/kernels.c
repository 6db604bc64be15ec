/* The element-wise work between two matrix products, one pass over memory each.
 *
 * C11 with the vector types that gcc and clang both know, and no library but libc.
 * Compiled when an engine is loaded (kernels.py); every function has a twin in
 * PyTorch operations that takes over where there is no compiler. Numbers are
 * float32 inside; bfloat16 is read and written, rounded to nearest even, once.
 */
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

/* Widths and head sizes are multiples of LANES (half rotations too): kernels.py asks. */
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

/* Matrix tiles (AMX): attention and head without their scores ever leaving the cache.
 *
 * Both compute transposed products, tiles of 16 keys (or vocabulary entries) by 16
 * queries: what is summed over runs down the tile, each query is a lane, and the
 * left matrix is read as it lies in memory. */
#if defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

#define TILE 16  /* rows of a tile */
#define DEPTH 32 /* bfloat16 numbers in a tile's row */

typedef struct {
  uint8_t palette, start, reserved[14];
  uint16_t bytes[16];
  uint8_t rows[16];
} tile_config;

/* Whether the system lets this process use tiles. */
int tiles_ready(void) { return syscall(SYS_arch_prctl, 0x1023, 18) == 0; }

static void take_tiles(uint8_t *before) {
  tile_config c = {.palette = 1};
  for (int i = 0; i < 8; i++) c.bytes[i] = 64, c.rows[i] = 16;
  _tile_storeconfig(before);
  _tile_loadconfig(&c);
}
static void give_tiles(const uint8_t *before) {
  if (before[0])
    _tile_loadconfig(before);
  else
    _tile_release();
}

/* 16 x 16 numbers of 4 bytes, transposed in registers. */
static inline void turn16(__m512i *r) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; i++) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

/* `count` <= 16 rows of x (width each) to right-hand tiles, one after another by depth. */
static void pack_right(const bf16 *x, long count, long width, bf16 *out) {
  for (long d = 0; d < width; d += DEPTH, out += TILE * DEPTH) {
    __m512i r[16];
    for (long i = 0; i < TILE; i++)
      r[i] = i < count ? _mm512_loadu_si512(x + i * width + d) : _mm512_setzero_si512();
    turn16(r);
    for (long i = 0; i < TILE; i++) _mm512_storeu_si512(out + i * DEPTH, r[i]);
  }
}

/* v (rows, dim) to (dim, stride); rows is a multiple of 16, dim of 32. */
static void transpose_values(const bf16 *v, bf16 *out, long rows, long dim, long stride) {
  for (long i = 0; i < rows; i += TILE)
    for (long d = 0; d < dim; d += DEPTH) {
      __m512i r[16];
      for (long j = 0; j < TILE; j++) r[j] = _mm512_loadu_si512(v + (i + j) * dim + d);
      turn16(r);
      for (long j = 0; j < TILE; j++) {
        bf16 *even = out + (d + 2 * j) * stride + i;
        _mm256_storeu_si256((__m256i *)even, _mm512_cvtepi32_epi16(r[j]));
        _mm256_storeu_si256((__m256i *)(even + stride),
                            _mm512_cvtepi32_epi16(_mm512_srli_epi32(r[j], 16)));
      }
    }
}

/* Scores of 16 keys, transposed, into s (16, 16). */
static inline void score_tile(const bf16 *keys, const bf16 *queries, long dim, float *s) {
  _tile_zero(0);
  for (long d = 0; d < dim; d += DEPTH) {
    _tile_loadd(1, keys + d, dim * 2);
    _tile_loadd(2, queries + d * TILE, 64);
    _tile_dpbf16ps(0, 1, 2);
  }
  _tile_stored(0, s, 64);
}

/* Two rows of probabilities as one row of a right-hand tile: pairs along the keys. */
static inline void store_pair(bf16 *p, vf even, vf odd) {
  __m512i e = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)even));
  __m512i o = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)odd));
  _mm512_storeu_si512(p, _mm512_or_si512(e, _mm512_slli_epi32(o, 16)));
}

/* 16 queries of one node and key head; keys (own, dim) and values (dim, stride) of its path in
 * order of position, `before` of them before the node. */
static void attend_tile(const bf16 *q, long lanes, long offset, long group, long before,
                        const bf16 *keys, const bf16 *values, long stride, long dim, float scale,
                        bf16 *queries, float *s, bf16 *p, float *out) {
  vi row;
  for (int l = 0; l < LANES; l++) row[l] = (int32_t)(before + (offset + l) / group);
  long own = before + (offset + lanes - 1) / group + 1, n = (own + DEPTH - 1) / DEPTH * DEPTH;
  pack_right(q, lanes, dim, queries);
  vf high = fill(-INFINITY), sum = fill(0.0f);
  for (long j = 0; j < n; j += TILE) {
    float *tile = s + j * LANES;
    score_tile(keys + j * dim, queries, dim, tile);
    if (j + TILE > before)
      for (int i = 0; i < TILE; i++) {
        vi hidden = ((vi){0} + (int32_t)(j + i)) > row;
        store_f32(tile + i * LANES, choose(hidden, fill(-INFINITY), load_f32(tile + i * LANES)));
      }
    for (int i = 0; i < TILE; i++) high = larger(load_f32(tile + i * LANES), high);
  }
  vf by = high * scale;
  for (long j = 0; j < n; j += 2) {
    vf even = exponential(load_f32(s + j * LANES) * scale - by);
    vf odd = exponential(load_f32(s + (j + 1) * LANES) * scale - by);
    sum += even + odd;
    store_pair(p + j * LANES, even, odd);
  }
  vf r = 1.0f / sum;
  for (long d = 0; d < dim; d += 2 * TILE) {
    _tile_zero(3);
    _tile_zero(4);
    for (long j = 0; j < n; j += DEPTH) {
      _tile_loadd(5, p + j * LANES, 64);
      _tile_loadd(6, values + d * stride + j, stride * 2);
      _tile_loadd(7, values + (d + TILE) * stride + j, stride * 2);
      _tile_dpbf16ps(3, 6, 5);
      _tile_dpbf16ps(4, 7, 5);
    }
    _tile_stored(3, out + d * LANES, 64);
    _tile_stored(4, out + (d + TILE) * LANES, 64);
  }
  for (long d = 0; d < dim; d++) store_f32(out + d * LANES, load_f32(out + d * LANES) * r);
}

/* Attention of all nodes of a pack. q (kv_heads, rows, group, dim); k and v (kv_heads,
 * kv_rows, dim); out (rows, kv_heads, group, dim). nodes (n_nodes, 4): first row, rows, first
 * span, past the last span; spans (start, length): the stretches of rows of a node's path.
 * A path is copied together, so that its keys meet in the same tiles whatever the rest of the
 * pack is: a row's numbers are the same bits then. Scratch, for the longest path rounded up to
 * 32: scores 16 floats and p 16 bfloat16 for each key, path (2, keys, dim). dim <= 256. */
void tree_attention(const bf16 *q, const bf16 *k, const bf16 *v, bf16 *out, const int64_t *nodes,
                    const int64_t *spans, float *scores, bf16 *p, bf16 *path, long n_nodes,
                    long rows, long kv_rows, long kv_heads, long group, long dim, long most_keys,
                    float scale) {
  _Alignas(64) uint8_t before[64];
  _Alignas(64) bf16 queries[TILE * 256];
  _Alignas(64) float mixed[256 * LANES];
  bf16 *keys = path, *turned = path + most_keys * dim;
  /* The values pass through the room of the scores on their way. */
  bf16 *values = (bf16 *)scores;
  take_tiles(before);
  for (long h = 0; h < kv_heads; h++)
    for (const int64_t *node = nodes; node < nodes + 4 * n_nodes; node += 4) {
      long first = node[0], flat = node[1] * group, n = 0;
      for (const int64_t *span = spans + 2 * node[2]; span < spans + 2 * node[3]; span += 2) {
        long at = (h * kv_rows + span[0]) * dim;
        memcpy(keys + n * dim, k + at, (size_t)(span[1] * dim) * sizeof(bf16));
        n += span[1];
      }
      long padded = (n + DEPTH - 1) / DEPTH * DEPTH;
      memset(keys + n * dim, 0, (size_t)((padded - n) * dim) * sizeof(bf16));
      for (long j = 0, a = node[2]; a < node[3]; j += spans[2 * a + 1], a++)
        memcpy(values + j * dim, v + (h * kv_rows + spans[2 * a]) * dim,
               (size_t)(spans[2 * a + 1] * dim) * sizeof(bf16));
      memset(values + n * dim, 0, (size_t)((padded - n) * dim) * sizeof(bf16));
      transpose_values(values, turned, padded, dim, padded);
      for (long f = 0; f < flat; f += LANES) {
        long lanes = flat - f < LANES ? flat - f : LANES;
        attend_tile(q + ((h * rows + first) * group + f) * dim, lanes, f, group, n - node[1],
                    keys, turned, padded, dim, scale, queries, scores, p, mixed);
        for (long d = 0; d < dim; d += TILE) {
          __m512i r[16];
          for (int i = 0; i < TILE; i++) r[i] = _mm512_loadu_si512(mixed + (d + i) * LANES);
          turn16(r);
          for (long l = 0; l < lanes; l++) {
            long i = first + (f + l) / group, g = (f + l) % group;
            store_bf16(out + ((i * kv_heads + h) * group + g) * dim + d, (vf)r[l]);
          }
        }
      }
    }
  give_tiles(before);
}

/* log-sum-exp of W x over all rows of W (vocabulary, width), for x (rows, width): the result
 * is top + log(sum), both (rows,) rounded up to 32. width is a multiple of 32, vocabulary
 * of 32. packed is room for x in tiles: rows rounded up to 32, times width. */
void head_logsumexp(const bf16 *x, const bf16 *w, bf16 *packed, float *top, float *sum,
                    long rows, long vocabulary, long width) {
  _Alignas(64) uint8_t before[64];
  _Alignas(64) float z[4 * TILE * LANES];
  const long block = 256; /* rows of W that stay in the cache while all of x passes */
  long size = TILE * width, tiles = (rows + 2 * TILE - 1) / (2 * TILE) * 2;
  take_tiles(before);
  for (long t = 0; t < tiles; t++) {
    long left = rows - t * TILE;
    left = left < 0 ? 0 : left > TILE ? TILE : left;
    pack_right(x + t * TILE * width, left, width, packed + t * size);
    store_f32(top + t * TILE, fill(-INFINITY));
    store_f32(sum + t * TILE, fill(0.0f));
  }
  for (long low = 0; low < vocabulary; low += block) {
    long end = low + block < vocabulary ? low + block : vocabulary;
    for (long t = 0; t < tiles; t += 2) {
      const bf16 *a = packed + t * size, *b = a + size;
      vf m0 = load_f32(top + t * TILE), m1 = load_f32(top + (t + 1) * TILE);
      vf s0 = load_f32(sum + t * TILE), s1 = load_f32(sum + (t + 1) * TILE);
      for (long c = low; c < end; c += 2 * TILE) {
        const bf16 *u = w + c * width, *v = u + TILE * width;
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (long d = 0; d < width; d += DEPTH) {
          _tile_loadd(4, u + d, width * 2);
          _tile_loadd(6, a + d * TILE, 64);
          _tile_dpbf16ps(0, 4, 6);
          _tile_loadd(7, b + d * TILE, 64);
          _tile_dpbf16ps(1, 4, 7);
          _tile_loadd(5, v + d, width * 2);
          _tile_dpbf16ps(2, 5, 6);
          _tile_dpbf16ps(3, 5, 7);
        }
        _tile_stored(0, z, 64);
        _tile_stored(2, z + TILE * LANES, 64);
        _tile_stored(1, z + 2 * TILE * LANES, 64);
        _tile_stored(3, z + 3 * TILE * LANES, 64);
        vf h0 = m0, h1 = m1;
        for (int i = 0; i < 2 * TILE; i++) {
          h0 = larger(load_f32(z + i * LANES), h0);
          h1 = larger(load_f32(z + (2 * TILE + i) * LANES), h1);
        }
        s0 *= exponential(m0 - h0);
        s1 *= exponential(m1 - h1);
        m0 = h0, m1 = h1;
        for (int i = 0; i < 2 * TILE; i++) {
          s0 += exponential(load_f32(z + i * LANES) - m0);
          s1 += exponential(load_f32(z + (2 * TILE + i) * LANES) - m1);
        }
      }
      store_f32(top + t * TILE, m0), store_f32(top + (t + 1) * TILE, m1);
      store_f32(sum + t * TILE, s0), store_f32(sum + (t + 1) * TILE, s1);
    }
  }
  give_tiles(before);
}
#else
int tiles_ready(void) { return 0; }
#endif
