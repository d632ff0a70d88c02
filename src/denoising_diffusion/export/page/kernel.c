// The costly operations of a page, for WebAssembly with SIMD. What lies beside this is made by
//   clang --target=wasm32 -O2 -msimd128 -fno-vectorize -fno-unroll-loops -ffreestanding -nostdlib -Wl,--no-entry -Wl,--import-memory -Wl,--export-dynamic -Wl,--strip-debug -Wl,-z,stack-size=4096 -o kernel.wasm kernel.c
// All floats are of 32 bits, and every array begins at, and has room up to, a multiple of 16 bytes;
// nothing is kept here, and below address 65536 nothing lies that is not this program's.
#include <wasm_simd128.h>

typedef v128_t four;
#define EXPORT __attribute__((visibility("default"), used)) void
#define TILE 4  // pixels whose sums are in registers together, for eight channels each

static inline float sum(four v) {
  return wasm_f32x4_extract_lane(v, 0) + wasm_f32x4_extract_lane(v, 1) + wasm_f32x4_extract_lane(v, 2) +
         wasm_f32x4_extract_lane(v, 3);
}

static inline four madd(four sums, four a, four b) { return wasm_f32x4_add(sums, wasm_f32x4_mul(a, b)); }

// What a row of `wide` weights, eight channels each, adds to the sums of the pixels at p.
static inline __attribute__((always_inline)) const float *along(four sums[TILE][2], const float *w,
                                                                const float *const p[TILE], int at, int wide) {
  for (int i = 0; i < wide; i++, w += 8) {
    four low = wasm_v128_load(w), high = wasm_v128_load(w + 4);
#pragma clang loop unroll(full)
    for (int k = 0; k < TILE; k++) {
      four x = wasm_v128_load32_splat(p[k] + at + i);
      sums[k][0] = madd(sums[k][0], low, x);
      sums[k][1] = madd(sums[k][1], high, x);
    }
  }
  return w;
}

// Convolutions and products with matrices: pixel i of n is, for each of `outs` channels c, the bias and
// the sum of weights over the patch of x that begins at from[i], which `high` rows of `wide` values in
// each of `channels` make; it goes to out[to[i] + c * apart]. Weights lie as (outs / 8, channels, high, wide, 8).
EXPORT patches(const float *x, const float *w, const float *bias, float *out, const int *from, const int *to, int n,
               int outs, int apart, int channels, int channel, int high, int row, int wide) {
  for (int c = 0; c < outs; c += 8, w += 8 * channels * high * wide, bias += 8) {
    for (int i = 0; i < n; i += TILE) {
      const float *p[TILE];
      four sums[TILE][2];
      for (int k = 0; k < TILE; k++) {
        p[k] = x + from[i + k < n ? i + k : n - 1];
        sums[k][0] = wasm_v128_load(bias);
        sums[k][1] = wasm_v128_load(bias + 4);
      }
      const float *v = w;
      for (int d = 0; d < channels; d++) {
        int at = d * channel;
        if (wide == 3) {
          for (int y = 0; y < high; y++, at += row) v = along(sums, v, p, at, 3);
        } else {
          for (int y = 0; y < high; y++, at += row) v = along(sums, v, p, at, wide);
        }
      }
      for (int k = 0; k < TILE && i + k < n; k++) {
        float *o = out + to[i + k] + c * apart;
        for (int half = 0; half < 2; half++) {
          float lanes[4];
          wasm_v128_store(lanes, half ? sums[k][1] : sums[k][0]);
          for (int lane = 0; lane < 4 && c + 4 * half + lane < outs; lane++) o[(4 * half + lane) * apart] = lanes[lane];
        }
      }
    }
  }
}

// Planes of h rows of `wide` values, into planes of other steps.
EXPORT inset(const float *x, float *out, int planes, int h, int wide, int plane, int row) {
  for (int i = 0; i < planes; i++) {
    for (int y = 0; y < h; y++) {
      float *o = out + i * plane + y * row;
      int z = 0;
      for (; z + 4 <= wide; z += 4, x += 4) wasm_v128_store(o + z, wasm_v128_load(x));
      for (; z < wide; z++) o[z] = *x++;
    }
  }
}

// Group norm of `groups` in all, the weights beginning anew after each `share` channels.
EXPORT norm(const float *x, const float *w, const float *bias, float *out, int groups, int group, int each, int share,
            float eps) {
  int length = group * each, whole = length & ~3, channel = 0;
  for (int g = 0; g < groups; g++, x += length) {
    four sums = wasm_f32x4_splat(0);
    for (int i = 0; i < whole; i += 4) sums = wasm_f32x4_add(sums, wasm_v128_load(x + i));
    float mean = sum(sums);
    for (int i = whole; i < length; i++) mean += x[i];
    mean /= length;
    four m = wasm_f32x4_splat(mean), squares = wasm_f32x4_splat(0);
    for (int i = 0; i < whole; i += 4) {
      four d = wasm_f32x4_sub(wasm_v128_load(x + i), m);
      squares = madd(squares, d, d);
    }
    float variance = sum(squares);
    for (int i = whole; i < length; i++) variance += (x[i] - mean) * (x[i] - mean);
    float scale = 1 / __builtin_sqrtf(variance / length + eps);
    for (int c = 0; c < group; c++, out += each) {
      float by = scale * w[channel], more = bias[channel];
      if (++channel == share) channel = 0;
      const float *v = x + c * each;
      int i = 0;
      for (; i + 4 <= each; i += 4) {
        four d = wasm_f32x4_sub(wasm_v128_load(v + i), m);
        wasm_v128_store(out + i, madd(wasm_f32x4_splat(more), d, wasm_f32x4_splat(by)));
      }
      for (; i < each; i++) out[i] = (v[i] - mean) * by + more;
    }
  }
}

// e^x to a unit in the last place or two: 2^n by its bits, and the rest, below ln(2) / 2, by its series.
static inline four power(four x) {
  x = wasm_f32x4_min(wasm_f32x4_max(x, wasm_f32x4_splat(-87)), wasm_f32x4_splat(88));
  four n = wasm_f32x4_nearest(wasm_f32x4_mul(x, wasm_f32x4_splat(1.44269504f)));
  // ln(2) in two parts, of which the first times n is exact.
  four r = madd(madd(x, n, wasm_f32x4_splat(-0.693359375f)), n, wasm_f32x4_splat(2.12194440e-4f));
  four made = wasm_f32x4_splat(1 / 5040.0f);
  made = madd(wasm_f32x4_splat(1 / 720.0f), made, r);
  made = madd(wasm_f32x4_splat(1 / 120.0f), made, r);
  made = madd(wasm_f32x4_splat(1 / 24.0f), made, r);
  made = madd(wasm_f32x4_splat(1 / 6.0f), made, r);
  made = madd(wasm_f32x4_splat(0.5f), made, r);
  made = madd(wasm_f32x4_splat(1), made, r);
  made = madd(wasm_f32x4_splat(1), made, r);
  four bits = wasm_i32x4_shl(wasm_i32x4_add(wasm_i32x4_trunc_sat_f32x4(n), wasm_i32x4_splat(127)), 23);
  return wasm_f32x4_mul(made, bits);
}

EXPORT silu(const float *x, float *out, int n) {
  for (int i = 0; i < n; i += 4) {
    four v = wasm_v128_load(x + i);
    four below = wasm_f32x4_add(wasm_f32x4_splat(1), power(wasm_f32x4_neg(v)));
    wasm_v128_store(out + i, wasm_f32x4_div(v, below));
  }
}

// Rows of `each` values and as many others, or one other for each row.
#define PAIRS(name, sign)                                                                                          \
  EXPORT name(const float *x, const float *y, float *out, int rows, int each, int one) {                           \
    for (int r = 0; r < rows; r++, x += each, out += each, y += one ? 1 : each) {                                  \
      four other = wasm_f32x4_splat(*y);                                                                           \
      int i = 0;                                                                                                   \
      for (; i + 4 <= each; i += 4) {                                                                              \
        wasm_v128_store(out + i, wasm_f32x4_##name(wasm_v128_load(x + i), one ? other : wasm_v128_load(y + i)));   \
      }                                                                                                            \
      for (; i < each; i++) out[i] = x[i] sign(one ? *y : y[i]);                                                   \
    }                                                                                                              \
  }
PAIRS(add, +)
PAIRS(mul, *)
