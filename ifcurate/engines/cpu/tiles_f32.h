/* float32 on tiles that multiply bfloat16: every number as the sum of three.
 *
 *     x = h + m + l,  each the bfloat16 nearest to what is left    (exact: 3 x 8 bits)
 *     x y = h h' + h m' + m h' + m m' + h l' + l h' + terms below 2^-26
 *
 * The six products are exact in float32, and added up there, the small ones first. The
 * result is nearer to the true one than that of float32 arithmetic, whose every product
 * is rounded, and comes at twice its speed: tiles do 16 times the products of a vector.
 * A row's numbers do not depend on how many rows there are.
 *
 * An operand is laid out in panels of 16 rows; a panel has, for every DEPTH columns, the
 * three tiles of its parts one after another. */

#define PART (TILE * DEPTH)          /* numbers of a tile */
#define STEP (3 * PART)              /* of the three tiles of DEPTH columns */
#define PANEL(width) (3 * TILE * (width))
#define CACHE (900 * 1024)           /* bytes: panels that stay near while others pass */
#define LONGEST 768                  /* columns that are added up in one go */

static inline __m512 low_half(__m512i s) {
  return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(s)), 16);
}
static inline __m512 high_half(__m512i s) {
  return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(s, 1)), 16);
}

/* 32 numbers to their three parts. */
static inline void to_parts(__m512 a, __m512 b, __m512i *h, __m512i *m, __m512i *l) {
  *h = (__m512i)_mm512_cvtne2ps_pbh(b, a);
  a -= low_half(*h), b -= high_half(*h);
  *m = (__m512i)_mm512_cvtne2ps_pbh(b, a);
  a -= low_half(*m), b -= high_half(*m);
  *l = (__m512i)_mm512_cvtne2ps_pbh(b, a);
}
static inline void read_parts(const float *x, long i, long count, long stride, __m512i *h,
                              __m512i *m, __m512i *l) {
  if (i < count)
    to_parts(_mm512_loadu_ps(x + i * stride), _mm512_loadu_ps(x + i * stride + LANES), h, m, l);
  else
    *h = *m = *l = _mm512_setzero_si512();
}

/* `count` rows of x (width of them, `stride` apart) to a left-hand panel; zeros after them. */
static void left_parts(const float *x, long count, long stride, long width, bf16 *out) {
  for (long d = 0; d < width; d += DEPTH, out += STEP)
    for (long i = 0; i < TILE; i++) {
      __m512i h, m, l;
      read_parts(x + d, i, count, stride, &h, &m, &l);
      _mm512_storeu_si512(out + i * DEPTH, h);
      _mm512_storeu_si512(out + PART + i * DEPTH, m);
      _mm512_storeu_si512(out + 2 * PART + i * DEPTH, l);
    }
}
/* The same to a right-hand panel: rows become columns of pairs. */
static void right_parts(const float *x, long count, long stride, long width, bf16 *out) {
  for (long d = 0; d < width; d += DEPTH) {
    __m512i parts[3][TILE];
    for (long i = 0; i < TILE; i++)
      read_parts(x + d, i, count, stride, &parts[0][i], &parts[1][i], &parts[2][i]);
    for (int p = 0; p < 3; p++, out += PART) {
      turn16(parts[p]);
      for (long i = 0; i < TILE; i++) _mm512_storeu_si512(out + i * DEPTH, parts[p][i]);
    }
  }
}

/* Tiles 0 to 3 = two left-hand panels times two right-hand ones, over `steps` x DEPTH columns;
 * meanwhile `lines` of 64 bytes from `next` on are fetched in every step. */
static inline void multiply_parts(const bf16 *a0, const bf16 *a1, const bf16 *b0, const bf16 *b1,
                                  long steps, const char *next, long lines) {
  settle();
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (long s = 0; s < steps; s++, a0 += STEP, a1 += STEP, b0 += STEP, b1 += STEP) {
    for (long q = 0; q < lines; q++, next += 64) _mm_prefetch(next, _MM_HINT_T1);
    _tile_loadd(6, b0, 64); /* high parts of b with low ones of a */
    _tile_loadd(4, a0 + 2 * PART, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b1, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a1 + 2 * PART, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(4, a0 + PART, 64); /* middle ones of a */
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a1 + PART, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(6, b0 + PART, 64); /* middle with middle */
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(2, 5, 6);
    _tile_loadd(7, b1 + PART, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(4, a0, 64); /* high ones of a with middle ones of b */
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a1, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(6, b0 + 2 * PART, 64); /* low */
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(2, 5, 6);
    _tile_loadd(7, b1 + 2 * PART, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(6, b0, 64); /* high */
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(2, 5, 6);
    _tile_loadd(7, b1, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(3, 5, 7);
  }
}
/* Tiles 0 to 3 to memory: z (left half, right half of the columns), rows `stride` apart. */
static inline void store_tiles(float *upper, float *lower, long right, long stride) {
  _tile_stored(0, upper, stride * 4);
  _tile_stored(1, upper + right, stride * 4);
  _tile_stored(2, lower, stride * 4);
  _tile_stored(3, lower + right, stride * 4);
}

/* How many rows of a right-hand matrix stay in the cache. */
static inline long rows_near(long width) {
  long n = CACHE / (6 * width) / (2 * TILE) * (2 * TILE);
  return n > 2 * TILE ? n : 2 * TILE;
}
/* Columns per go: equal shares of the width. */
static inline long columns_together(long width) {
  long parts = (width + LONGEST - 1) / LONGEST;
  return ((width + parts - 1) / parts + DEPTH - 1) / DEPTH * DEPTH;
}
/* Numbers that `linear_f32` needs room for, on the left and on the right. */
void linear_room(long rows, long width, int64_t *left, int64_t *right) {
  long part = columns_together(width);
  *left = ((rows + 2 * TILE - 1) / (2 * TILE) + 1) * 2 * PANEL(part); /* one more is fetched */
  *right = rows_near(part) / TILE * PANEL(part);
}

/* y (rows, cols) = x w^T (+ bias), or y + x w^T with `add`; x (rows, width), w (cols, width),
 * cols and width multiples of 32. */
void linear_f32(const float *x, const float *w, const float *bias, float *y, bf16 *left,
                bf16 *right, long rows, long cols, long width, long add) {
  _Alignas(64) uint8_t before[64];
  _Alignas(64) float z[4 * TILE * LANES];
  long most = columns_together(width), near = rows_near(most);
  take_tiles(before);
  for (long d = 0; d < width; d += most) {
    long part = width - d < most ? width - d : most, size = PANEL(part);
    int direct = d == 0 && !add && !bias;
    for (long i = 0; i < rows + TILE; i += TILE) {
      long count = rows - i;
      if (count <= 0 && i % (2 * TILE) == 0) break;
      left_parts(x + i * width + d, count, width, part, left + i / TILE * size);
    }
    for (long low = 0; low < cols; low += near) {
      long end = low + near < cols ? low + near : cols, blocks = (end - low) / (2 * TILE);
      for (long j = low; j < end; j += TILE)
        right_parts(w + j * width + d, TILE, width, part, right + (j - low) / TILE * size);
      /* While the blocks of one pair of left-hand panels are computed, the next pair comes. */
      long lines = (3 * 2 * TILE + blocks - 1) / blocks;
      for (long i = 0; i < rows; i += 2 * TILE)
        for (long j = low; j < end; j += 2 * TILE) {
          const bf16 *a = left + i / TILE * size, *b = right + (j - low) / TILE * size;
          const char *next = (const char *)(a + 2 * size) +
                             (j - low) / (2 * TILE) * lines * (part / DEPTH) * 64;
          multiply_parts(a, a + size, b, b + size, part / DEPTH, next, lines);
          float *out = y + i * cols + j;
          if (direct && i + 2 * TILE <= rows) {
            store_tiles(out, out + TILE * cols, TILE, cols);
            continue;
          }
          store_tiles(z, z + 2 * TILE * LANES, TILE * LANES, LANES);
          for (long r = 0; r < 2 * TILE && i + r < rows; r++, out += cols)
            for (int side = 0; side < 2; side++) {
              long at = r / TILE * 2 * TILE * LANES + side * TILE * LANES + r % TILE * LANES;
              vf v = load_f32(z + at);
              if (d > 0 || add) v += load_f32(out + side * LANES);
              if (d == 0 && bias) v += load_f32(bias + j + side * LANES);
              store_f32(out + side * LANES, v);
            }
        }
    }
  }
  give_tiles(before);
}

/* Attention of all nodes of a pack, as tree_attention in tiles_bf16.h, in float32. Scratch, for
 * the longest path rounded up to 32, for each of its keys: scores max(32, dim) floats (keys and
 * values pass through them), soft 96 bfloat16, path 6 dim. dim <= 256. */
static void node_path(const float *x, long head, long kv_rows, long dim, const int64_t *spans,
                      long first, long last, long padded, float *path) {
  long n = 0;
  for (long a = first; a < last; n += spans[2 * a + 1], a++)
    memcpy(path + n * dim, x + (head * kv_rows + spans[2 * a]) * dim,
           (size_t)(spans[2 * a + 1] * dim) * sizeof(float));
  memset(path + n * dim, 0, (size_t)((padded - n) * dim) * sizeof(float));
}

/* v (rows, dim) to left-hand panels of its transpose; rows a multiple of 32, dim of 16. */
static void value_parts(const float *v, long rows, long dim, bf16 *out) {
  for (long d = 0; d < dim; d += TILE)
    for (long i = 0; i < rows; i += DEPTH, out += STEP) {
      __m512i a[TILE], b[TILE];
      for (long j = 0; j < TILE; j++) {
        a[j] = _mm512_loadu_si512(v + (i + j) * dim + d);
        b[j] = _mm512_loadu_si512(v + (i + TILE + j) * dim + d);
      }
      turn16(a);
      turn16(b);
      for (long j = 0; j < TILE; j++) {
        __m512i h, m, l;
        to_parts((__m512)a[j], (__m512)b[j], &h, &m, &l);
        _mm512_storeu_si512(out + j * DEPTH, h);
        _mm512_storeu_si512(out + PART + j * DEPTH, m);
        _mm512_storeu_si512(out + 2 * PART + j * DEPTH, l);
      }
    }
}

/* Scores (n keys, 16 queries) to their softmax in a right-hand panel; returns 1 / sum. Key j is
 * hidden from a query whose `row` is smaller. */
static vf soften(float *s, long n, long before, vi row, float scale, bf16 *out) {
  vf high = fill(-INFINITY), sum = fill(0.0f);
  for (long j = 0; j < n; j++) {
    vf v = load_f32(s + j * LANES);
    if (j >= before) {
      vi hidden = ((vi){0} + (int32_t)j) > row;
      v = choose(hidden, fill(-INFINITY), v);
      store_f32(s + j * LANES, v);
    }
    high = larger(v, high);
  }
  vf by = high * scale;
  for (long j = 0; j < n; j += DEPTH, out += STEP)
    for (long i = 0; i < DEPTH; i += 2) {
      vf even = exponential(load_f32(s + (j + i) * LANES) * scale - by);
      vf odd = exponential(load_f32(s + (j + i + 1) * LANES) * scale - by);
      sum += even;
      sum += odd;
      __m512i h, m, l;
      to_parts((__m512)even, (__m512)odd, &h, &m, &l);
      __m512i parts[3] = {h, m, l};
      for (int p = 0; p < 3; p++) {
        __m512i e = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(parts[p]));
        __m512i o = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(parts[p], 1));
        _mm512_storeu_si512(out + p * PART + i * LANES,
                            _mm512_or_si512(e, _mm512_slli_epi32(o, 16)));
      }
    }
  return 1.0f / sum;
}

void tree_attention_f32(const float *q, const float *k, const float *v, float *out,
                        const int64_t *nodes, const int64_t *spans, float *scores, bf16 *soft,
                        bf16 *path, long n_nodes, long rows, long kv_rows, long kv_heads,
                        long group, long dim, long most_keys, float scale) {
  _Alignas(64) uint8_t before[64];
  _Alignas(64) bf16 queries[2 * PANEL(256)];
  _Alignas(64) float mixed[2][256 * LANES];
  bf16 *keys = path, *values = path + 3 * most_keys * dim;
  take_tiles(before);
  for (long h = 0; h < kv_heads; h++)
    for (const int64_t *node = nodes; node < nodes + 4 * n_nodes; node += 4) {
      long first = node[0], flat = node[1] * group, n = 0;
      for (long a = node[2]; a < node[3]; a++) n += spans[2 * a + 1];
      long padded = (n + DEPTH - 1) / DEPTH * DEPTH, ahead = n - node[1];
      /* Keys and values pass through the room of the scores on their way. */
      node_path(k, h, kv_rows, dim, spans, node[2], node[3], padded, scores);
      for (long j = 0; j < padded; j += TILE)
        left_parts(scores + j * dim, TILE, dim, dim, keys + j * 3 * dim);
      node_path(v, h, kv_rows, dim, spans, node[2], node[3], padded, scores);
      value_parts(scores, padded, dim, values);
      for (long f = 0; f < flat; f += 2 * LANES) {
        const float *from = q + ((h * rows + first) * group + f) * dim;
        long lanes = flat - f < 2 * LANES ? flat - f : 2 * LANES;
        long own = (ahead + (f + lanes - 1) / group + DEPTH) / DEPTH * DEPTH;
        bf16 *p[2] = {soft, soft + 3 * LANES * most_keys};
        float *s[2] = {scores, scores + LANES * most_keys};
        vf r[2];
        right_parts(from, lanes, dim, dim, queries);
        right_parts(from + LANES * dim, lanes - LANES, dim, dim, queries + PANEL(dim));
        for (long j = 0; j < own; j += DEPTH) {
          multiply_parts(keys + j * 3 * dim, keys + (j + TILE) * 3 * dim, queries,
                         queries + PANEL(dim), dim / DEPTH, 0, 0);
          store_tiles(s[0] + j * LANES, s[0] + (j + TILE) * LANES, s[1] - s[0], LANES);
        }
        for (int side = 0; side < 2; side++) {
          vi row;
          for (int l = 0; l < LANES; l++)
            row[l] = (int32_t)(ahead + (f + side * LANES + l) / group);
          r[side] = soften(s[side], own, ahead, row, scale, p[side]);
        }
        for (long d = 0; d < dim; d += 2 * TILE) {
          const bf16 *a = values + d * 3 * padded;
          multiply_parts(a, a + TILE * 3 * padded, p[0], p[1], own / DEPTH, 0, 0);
          store_tiles(mixed[0] + d * LANES, mixed[0] + (d + TILE) * LANES, mixed[1] - mixed[0],
                      LANES);
        }
        for (long d = 0; d < dim; d += TILE)
          for (int side = 0; side < 2 && side * LANES < lanes; side++) {
            __m512i t[16];
            for (int i = 0; i < TILE; i++)
              t[i] = (__m512i)(load_f32(mixed[side] + (d + i) * LANES) * r[side]);
            turn16(t);
            for (long l = 0; l < LANES && side * LANES + l < lanes; l++) {
              long at = f + side * LANES + l, i = first + at / group, g = at % group;
              store_f32(out + ((i * kv_heads + h) * group + g) * dim + d, (vf)t[l]);
            }
          }
      }
    }
  give_tiles(before);
}
