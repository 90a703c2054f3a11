/* Additive attention with a softmax, without its weights:

     e_ts = Σ_d v_d tanh(q_td + k_sd),   w_t = softmax(e_t) over the visible positions s,   c_t = Σ_s w_ts x_s

   q (B, H, T, D), k (B, H, S, D), v (H, D), x (B, H, S, V), c (B, H, T, V) in C order; the mask (B, H, T, S) of bytes
   has strides. A row without a visible position reads zero. Positions outside the mask are never read.

   Every thread takes whole items of work, and the sums of an item have a fixed order: the result does not depend on
   the number of threads. Compiled with REAL=float WIDE=0, and with REAL=double WIDE=1. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef REAL real;
typedef int64_t integer;

enum { ROWS = 8, TILE = 16 }; /* queries of an item of the forward pass; source positions of a tile */

#if WIDE /* double */

static inline real fast_exp(real x) { /* exp(x) for x ≤ 0: Cephes, exp.c */
    x = x < -708.0 ? -708.0 : x;
    real shifted = x * 1.4426950408889634 + 0x1.8p52, n = shifted - 0x1.8p52;
    x -= n * 6.93145751953125e-1;
    x -= n * 1.42860682030941723212e-6;
    real z = x * x;
    real p = x * ((1.26177193074810590878e-4 * z + 3.02994407707441961300e-2) * z + 9.99999999999999999910e-1);
    real q = ((3.00198505138664455042e-6 * z + 2.52448340349684104192e-3) * z + 2.27265548208155028766e-1) * z + 2.0;
    uint64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52;
    real scale;
    memcpy(&scale, &bits, sizeof scale);
    return (1 + 2 * p / (q - p)) * scale;
}

static inline real fast_tanh(real x) { /* tanh(x): Cephes, tanh.c */
    real z = x * x;
    real p = (-9.64399179425052238628e-1 * z - 9.92877231001918586564e1) * z - 1.61468768441708447952e3;
    real q = ((z + 1.12811678491632931402e2) * z + 2.23548839060100448583e3) * z + 4.84406305325125486048e3;
    real size = fabs(x), far = fast_exp(-2 * size);
    real near = x + x * z * p / q;
    far = copysign((1 - far) / (1 + far), x);
    return size < 0.625 ? near : far;
}

#else

static inline real fast_exp(real x) { /* exp(x) for x ≤ 0: Cephes, expf.c */
    x = x < -87.0f ? -87.0f : x;
    real shifted = x * 1.44269504f + 0x1.8p23f, n = shifted - 0x1.8p23f;
    x -= n * 0.693359375f;
    x -= n * -2.12194440e-4f;
    real p = 1.9875691500e-4f;
    p = p * x + 1.3981999507e-3f;
    p = p * x + 8.3334519073e-3f;
    p = p * x + 4.1665795894e-2f;
    p = p * x + 1.6666665459e-1f;
    p = p * x + 5.0000001201e-1f;
    p = p * x * x + x + 1;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127) << 23;
    real scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

static inline real fast_tanh(real x) { /* tanh(x): the rational function of Eigen's ptanh_float, 13th over 6th degree */
    x = x > 7.9053111f ? 7.9053111f : x;
    x = x < -7.9053111f ? -7.9053111f : x;
    real z = x * x;
    real p = -2.76076847742355e-16f;
    p = p * z + 2.00018790482477e-13f;
    p = p * z - 8.60467152213735e-11f;
    p = p * z + 5.12229709037114e-08f;
    p = p * z + 1.48572235717979e-05f;
    p = p * z + 6.37261928875436e-04f;
    p = p * z + 4.89352455891786e-03f;
    real q = 1.19825839466702e-06f;
    q = q * z + 1.18534705686654e-04f;
    q = q * z + 2.26843463243900e-03f;
    q = q * z + 4.89352518554385e-03f;
    return x * p / q;
}

#endif

static inline real product(const real *restrict a, const real *restrict b, integer n) {
    real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (integer i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static inline real score(const real *restrict q, const real *restrict k, const real *restrict v, integer n) {
    real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (integer i = 0; i < n; i++) sum += v[i] * fast_tanh(q[i] + k[i]);
    return sum;
}

/* Add Σ_i w_i x_i of n rows to y, four rows at a time. */
static inline void add(real *restrict y, const real *restrict x, const integer *rows, const real *w, integer n, integer width) {
    integer i = 0;
    for (; i + 4 <= n; i += 4) {
        const real *x0 = x + rows[i] * width, *x1 = x + rows[i + 1] * width;
        const real *x2 = x + rows[i + 2] * width, *x3 = x + rows[i + 3] * width;
        real w0 = w[i], w1 = w[i + 1], w2 = w[i + 2], w3 = w[i + 3];
#pragma omp simd
        for (integer j = 0; j < width; j++) y[j] += w0 * x0[j] + w1 * x1[j] + w2 * x2[j] + w3 * x3[j];
    }
    for (; i < n; i++) {
        const real *x0 = x + rows[i] * width;
        real w0 = w[i];
#pragma omp simd
        for (integer j = 0; j < width; j++) y[j] += w0 * x0[j];
    }
}

/* Store the visible positions of [from, to) in rows, and return their number. */
static inline integer visible(integer *rows, const uint8_t *mask, integer stride, integer from, integer to) {
    integer n = 0;
    for (integer s = from; s < to; s++)
        if (mask[s * stride]) rows[n++] = s;
    return n;
}

static inline integer least(integer a, integer b) { return a < b ? a : b; }

/* Write c, and lse (B, H, T): log Σ_s exp(e_ts) over the visible positions, 0 if there is none. Return 0. */
int forward(const real *q, const real *k, const real *v, const real *x, const uint8_t *mask, const integer *strides,
            real *c, real *lse, integer B, integer H, integer T, integer S, integer D, integer V, int threads) {
    integer blocks = (T + ROWS - 1) / ROWS;
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
    for (integer item = 0; item < B * H * blocks; item++) {
        integer bh = item / blocks, first = item % blocks * ROWS, last = least(first + ROWS, T);
        const real *keys = k + bh * S * D, *values = x + bh * S * V, *vector = v + bh % H * D;
        const uint8_t *seen = mask + bh / H * strides[0] + bh % H * strides[1];
        real largest[ROWS], sum[ROWS];
        for (integer t = first; t < last; t++) {
            largest[t - first] = -INFINITY, sum[t - first] = 0;
            memset(c + (bh * T + t) * V, 0, V * sizeof(real));
        }
        for (integer from = 0; from < S; from += TILE)
            for (integer t = first; t < last; t++) {
                integer rows[TILE], n = visible(rows, seen + t * strides[2], strides[3], from, least(from + TILE, S));
                real e[TILE], highest = largest[t - first], *context = c + (bh * T + t) * V;
                if (!n) continue;
                for (integer i = 0; i < n; i++) {
                    e[i] = score(q + (bh * T + t) * D, keys + rows[i] * D, vector, D);
                    highest = e[i] > highest ? e[i] : highest;
                }
                if (highest > largest[t - first]) {
                    real scale = fast_exp(largest[t - first] - highest);
                    if (sum[t - first] != 0)
                        for (integer j = 0; j < V; j++) context[j] *= scale;
                    sum[t - first] *= scale;
                    largest[t - first] = highest;
                }
                for (integer i = 0; i < n; i++) e[i] = fast_exp(e[i] - highest);
                for (integer i = 0; i < n; i++) sum[t - first] += e[i];
                add(context, values, rows, e, n, V);
            }
        for (integer t = first; t < last; t++) {
            real total = sum[t - first], *context = c + (bh * T + t) * V;
            lse[bh * T + t] = total != 0 ? largest[t - first] + log(total) : 0;
            if (total != 0)
                for (integer j = 0; j < V; j++) context[j] /= total;
        }
    }
    return 0;
}

/* Write the gradients, given dc, that of c. The source is cut into `parts` of `length` positions, a multiple of TILE:
   dk and dx of a part are sums over the queries; dq (parts, B, H, T, D) and dv (parts, B, H, D) are to be summed over
   the parts (dv also over the batch). Each weight is computed again from its score and lse. Return 0, or 1 if there is
   no memory for a tile. */
int backward(const real *dc, const real *q, const real *k, const real *v, const real *x, const uint8_t *mask,
              const integer *strides, const real *c, const real *lse, real *dq, real *dk, real *dv, real *dx, integer B,
              integer H, integer T, integer S, integer D, integer V, integer parts, integer length, int threads) {
    int failed = 0;
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : failed)
    {
        real *hidden = malloc(TILE * D * sizeof(real));
        failed = !hidden;
#pragma omp for schedule(dynamic)
        for (integer item = 0; item < parts * B * H; item++) {
            if (failed) continue;
            integer bh = item % (B * H), begin = item / (B * H) * length, end = least(begin + length, S);
            const real *keys = k + bh * S * D, *values = x + bh * S * V, *vector = v + bh % H * D;
            const uint8_t *seen = mask + bh / H * strides[0] + bh % H * strides[1];
            real *queries = dq + item * T * D, *total = dv + item * D;
            memset(queries, 0, T * D * sizeof(real));
            memset(total, 0, D * sizeof(real));
            if (begin < end) {
                memset(dk + (bh * S + begin) * D, 0, (end - begin) * D * sizeof(real));
                memset(dx + (bh * S + begin) * V, 0, (end - begin) * V * sizeof(real));
            }
            for (integer from = begin; from < end; from += TILE)
                for (integer t = 0; t < T; t++) {
                    integer rows[TILE], n = visible(rows, seen + t * strides[2], strides[3], from, least(from + TILE, end));
                    if (!n) continue;
                    const real *query = q + (bh * T + t) * D, *given = dc + (bh * T + t) * V;
                    real e[TILE], mean = product(given, c + (bh * T + t) * V, V), *dquery = queries + t * D;
                    for (integer i = 0; i < n; i++) {
                        const real *key = keys + rows[i] * D;
                        real *h = hidden + i * D, sum = 0;
#pragma omp simd reduction(+ : sum)
                        for (integer d = 0; d < D; d++) {
                            h[d] = fast_tanh(query[d] + key[d]);
                            sum += vector[d] * h[d];
                        }
                        e[i] = sum - lse[bh * T + t];
                    }
                    for (integer i = 0; i < n; i++) e[i] = e[i] > 0 ? 1 : fast_exp(e[i]);
                    for (integer i = 0; i < n; i++) {
                        const real *value = values + rows[i] * V, *h = hidden + i * D;
                        real *dvalue = dx + (bh * S + rows[i]) * V, *dkey = dk + (bh * S + rows[i]) * D;
                        real weight = e[i], g = weight * (product(given, value, V) - mean);
#pragma omp simd
                        for (integer j = 0; j < V; j++) dvalue[j] += weight * given[j];
#pragma omp simd
                        for (integer d = 0; d < D; d++) {
                            real slope = g * vector[d] * (1 - h[d] * h[d]);
                            dquery[d] += slope;
                            dkey[d] += slope;
                            total[d] += g * h[d];
                        }
                    }
                }
        }
        free(hidden);
    }
    return failed;
}
