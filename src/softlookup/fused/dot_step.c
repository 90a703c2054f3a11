/* One query per row and head, as in a decoding step, without its weights:

     e_s = scale q · k_s,   w = softmax(e) over the visible positions s,   c = Σ_s w_s x_s

   q (N, H, D), k (·, H, S, D), x (·, H, S, V) with strides of all but their last dimension; row n reads row rows[n] of
   k and x, or row n without rows; mask (N, S) of bytes with strides, or none; c (N, H, V) in C order. A row without a
   visible position reads zero. Positions outside the mask are never read. Follows additive.c in one file. */

static inline void one_step(const real *restrict q, const real *restrict k, integer k_stride, const real *restrict x,
                            integer x_stride, const integer *seen, real *restrict e, real *restrict c, real scale,
                            integer n, integer D, integer V) {
    real highest = -INFINITY, sum = 0;
    for (integer i = 0; i < n; i++) {
        e[i] = scale * product(q, k + seen[i] * k_stride, D);
        highest = e[i] > highest ? e[i] : highest;
    }
    for (integer i = 0; i < n; i++) e[i] = fast_exp(e[i] - highest);
    for (integer i = 0; i < n; i++) sum += e[i];
    for (integer j = 0; j < V; j++) c[j] = 0;
    integer i = 0;
    for (; i + 4 <= n; i += 4) {
        const real *x0 = x + seen[i] * x_stride, *x1 = x + seen[i + 1] * x_stride;
        const real *x2 = x + seen[i + 2] * x_stride, *x3 = x + seen[i + 3] * x_stride;
        real w0 = e[i], w1 = e[i + 1], w2 = e[i + 2], w3 = e[i + 3];
#pragma omp simd
        for (integer j = 0; j < V; j++) c[j] += w0 * x0[j] + w1 * x1[j] + w2 * x2[j] + w3 * x3[j];
    }
    for (; i < n; i++) {
        const real *x0 = x + seen[i] * x_stride;
        real w0 = e[i];
#pragma omp simd
        for (integer j = 0; j < V; j++) c[j] += w0 * x0[j];
    }
    if (n)
        for (integer j = 0; j < V; j++) c[j] /= sum;
}

/* Write c. Return 0, or 1 if there is no memory for the scores of a row. */
int dot_step(const real *q, const integer *qs, const real *k, const integer *ks, const real *x, const integer *xs,
             const integer *rows, const uint8_t *mask, const integer *ms, real *c, double scale, integer N, integer H,
             integer S, integer D, integer V, int threads) {
    int failed = 0;
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : failed)
    {
        real *e = malloc((S + 1) * sizeof(real));
        integer *seen = malloc((S + 1) * sizeof(integer));
        failed = !e || !seen;
#pragma omp for schedule(static)
        for (integer row = 0; row < N; row++) {
            if (failed) continue;
            integer n = S, from = rows ? rows[row] : row;
            if (mask)
                n = visible(seen, mask + row * ms[0], ms[1], 0, S);
            else
                for (integer s = 0; s < S; s++) seen[s] = s;
            for (integer h = 0; h < H; h++) {
                const real *query = q + row * qs[0] + h * qs[1];
                const real *keys = k + from * ks[0] + h * ks[1], *values = x + from * xs[0] + h * xs[1];
                real *context = c + (row * H + h) * V;
                if (D == 32 && V == 32) /* widths known to the compiler take a third of the time */
                    one_step(query, keys, ks[2], values, xs[2], seen, e, context, scale, n, 32, 32);
                else if (D == 64 && V == 64)
                    one_step(query, keys, ks[2], values, xs[2], seen, e, context, scale, n, 64, 64);
                else
                    one_step(query, keys, ks[2], values, xs[2], seen, e, context, scale, n, D, V);
            }
        }
        free(e);
        free(seen);
    }
    return failed;
}
