/* Matrix tiles (AMX): the little that both dtypes need. */
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

/* Not built on the stack: compilers take the instruction to read its first bytes only. */
static const tile_config ALL_WHOLE = {
    .palette = 1,
    .bytes = {64, 64, 64, 64, 64, 64, 64, 64},
    .rows = {TILE, TILE, TILE, TILE, TILE, TILE, TILE, TILE},
};

static void take_tiles(uint8_t *before) {
  _tile_storeconfig(before);
  _tile_loadconfig(&ALL_WHOLE);
}
static void give_tiles(const uint8_t *before) {
  if (before[0])
    _tile_loadconfig(before);
  else
    _tile_release();
}

/* What was stored is in memory: compilers do not know that loading a tile reads it. */
static inline void settle(void) { __asm__ volatile("" ::: "memory"); }

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

/* Log-sum-exp of 16 lanes over 32 rows of z more: s becomes the sum of exp(z - m). Summed by 32,
 * then by block, then all: one long sum of tens of thousands would lose three digits. */
static inline void add_exponentials(const float *z, vf *m, vf *s) {
  vf high = *m, some = fill(0.0f);
  for (int i = 0; i < 2 * TILE; i++) high = larger(load_f32(z + i * LANES), high);
  for (int i = 0; i < 2 * TILE; i++) some += exponential(load_f32(z + i * LANES) - high);
  *s = *s * exponential(*m - high) + some;
  *m = high;
}
/* A block's maximum (at least that before it) and sum to those of all so far. */
static inline void carry_on(float *top, float *sum, vf m, vf s) {
  store_f32(sum, load_f32(sum) * exponential(load_f32(top) - m) + s);
  store_f32(top, m);
}
