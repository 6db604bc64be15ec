/* bfloat16 on matrix tiles: attention and head without their scores ever leaving the cache.
 *
 * Both compute transposed products, tiles of 16 keys (or vocabulary entries) by 16
 * queries: what is summed over runs down the tile, each query is a lane, and the
 * left matrix is read as it lies in memory. */
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
  settle();
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
  settle();
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
 * 32, for each of its keys: scores max(16, dim / 2) floats (values pass through them), p 16
 * bfloat16, path 2 dim. dim <= 256. */
void tree_attention_bf16(const bf16 *q, const bf16 *k, const bf16 *v, bf16 *out, const int64_t *nodes,
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
void head_logsumexp_bf16(const bf16 *x, const bf16 *w, bf16 *packed, float *top, float *sum,
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
  settle();
  for (long low = 0; low < vocabulary; low += block) {
    long end = low + block < vocabulary ? low + block : vocabulary;
    for (long t = 0; t < tiles; t += 2) {
      const bf16 *a = packed + t * size, *b = a + size;
      vf m0 = load_f32(top + t * TILE), m1 = load_f32(top + (t + 1) * TILE);
      vf s0 = fill(0.0f), s1 = fill(0.0f);
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
        add_exponentials(z, &m0, &s0);
        add_exponentials(z + 2 * TILE * LANES, &m1, &s1);
      }
      carry_on(top + t * TILE, sum + t * TILE, m0, s0);
      carry_on(top + (t + 1) * TILE, sum + (t + 1) * TILE, m1, s1);
    }
  }
  give_tiles(before);
}
