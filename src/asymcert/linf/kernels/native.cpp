// l_p distances of rows on a CPU: plain loops in the form that compilers turn into vector instructions.
//
// All arrays are contiguous: x (n, d), w (m, d), results (n, m). Each function works on a range of units [from, to),
// so that threads share nothing but what they read; only grad_x is summed over the ranges by the caller.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace {

inline float from_bits(int32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline int32_t to_bits(float value) {
    int32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

// log2 of a positive normal number, error about 1 unit in the last place near 1 (polynomial of Cephes' logf).
inline float log2_fast(float value) {
    int32_t bits = to_bits(value) - 0x3f3504f3;  // exponents from sqrt(1/2)
    int32_t exponent = bits >> 23;
    float t = from_bits((bits & 0x007fffff) + 0x3f3504f3) - 1.0f;
    float q = 7.0376836292e-2f;
    q = q * t - 1.1514610310e-1f;
    q = q * t + 1.1676998740e-1f;
    q = q * t - 1.2420140846e-1f;
    q = q * t + 1.4249322787e-1f;
    q = q * t - 1.6668057665e-1f;
    q = q * t + 2.0000714765e-1f;
    q = q * t - 2.4999993993e-1f;
    q = q * t + 3.3333331174e-1f;
    float square = t * t;
    float natural = t + (q * t * square - 0.5f * square);
    return natural * 1.44269504089f + static_cast<float>(exponent);
}

// 2^y for y <= 0 (polynomial of Cephes' exp2f). At -127 the exponent's bits are all zero: 0 without a branch.
inline float exp2_fast(float y) {
    float clipped = y < -127.0f ? -127.0f : y;
    int32_t whole = static_cast<int32_t>(clipped - 0.5f);
    float t = clipped - static_cast<float>(whole);
    float q = 1.535336188319500e-4f;
    q = q * t + 1.339887440266574e-3f;
    q = q * t + 9.618437357674640e-3f;
    q = q * t + 5.550332471162809e-2f;
    q = q * t + 2.402264791363012e-1f;
    q = q * t + 6.931472028550421e-1f;
    return (q * t + 1.0f) * from_bits((whole + 127) << 23);
}

template <typename T>
inline T largest_difference(const T* x, const T* w, int64_t d) {
    T largest = 0;
#pragma omp simd reduction(max : largest)
    for (int64_t i = 0; i < d; ++i) {
        T z = std::fabs(x[i] - w[i]);
        largest = z > largest ? z : largest;
    }
    return largest;
}

template <typename T>
void max_forward(const T* x, const T* w, T* out, int32_t* index, int64_t n, int64_t m, int64_t d, int64_t from,
                 int64_t to) {
    for (int64_t b = 0; b < n; ++b) {
        for (int64_t o = from; o < to; ++o) {
            const T *xb = x + b * d, *wo = w + o * d;
            T largest = largest_difference(xb, wo, d);
            out[b * m + o] = largest;
            if (index == nullptr) continue;
            int64_t i = 0;
            while (i + 1 < d && std::fabs(xb[i] - wo[i]) != largest) ++i;
            index[b * m + o] = static_cast<int32_t>(i);
        }
    }
}

template <typename T>
void bounds(const T* low, const T* high, const T* w, T* least, T* most, int64_t n, int64_t m, int64_t d, int64_t from,
            int64_t to) {
    for (int64_t b = 0; b < n; ++b) {
        for (int64_t o = from; o < to; ++o) {
            const T *lo = low + b * d, *hi = high + b * d, *wo = w + o * d;
            T nearest = 0, farthest = 0;
#pragma omp simd reduction(max : nearest, farthest)
            for (int64_t i = 0; i < d; ++i) {
                T below = wo[i] - lo[i], above = hi[i] - wo[i];
                T far = below > above ? below : above;
                T near = below > above ? -above : -below;
                farthest = far > farthest ? far : farthest;
                nearest = near > nearest ? near : nearest;
            }
            least[b * m + o] = nearest;
            most[b * m + o] = farthest;
        }
    }
}

// Keeps the `count` greatest of the sizes seen, the greatest first; `held` of them are there already.
template <typename T>
inline void keep(T size, int32_t at, T* greatest, int32_t* index, int64_t& held, int64_t count) {
    if (held == count && !(size > greatest[count - 1])) return;
    int64_t place = held < count ? held++ : count - 1;
    for (; place > 0 && greatest[place - 1] < size; --place) {
        greatest[place] = greatest[place - 1];
        if (index != nullptr) index[place] = index[place - 1];
    }
    greatest[place] = size;
    if (index != nullptr) index[place] = at;
}

template <typename T>
void sorted_forward(const T* x, const T* w, T* out, int32_t* index, int64_t count, int64_t n, int64_t m, int64_t d,
                    int64_t from, int64_t to) {
    for (int64_t b = 0; b < n; ++b) {
        for (int64_t o = from; o < to; ++o) {
            const T *xb = x + b * d, *wo = w + o * d;
            int64_t first = (b * m + o) * count, held = 0;
            for (int64_t i = 0; i < d; ++i)
                keep(std::fabs(xb[i] - wo[i]), static_cast<int32_t>(i), out + first, index + first, held, count);
        }
    }
}

template <typename T>
void sorted_bounds(const T* low, const T* high, const T* w, T* least, T* most, int64_t count, int64_t n, int64_t m,
                   int64_t d, int64_t from, int64_t to) {
    for (int64_t b = 0; b < n; ++b) {
        for (int64_t o = from; o < to; ++o) {
            const T *lo = low + b * d, *hi = high + b * d, *wo = w + o * d;
            int64_t first = (b * m + o) * count, near = 0, far = 0;
            for (int64_t i = 0; i < d; ++i) {
                T below = wo[i] - lo[i], above = hi[i] - wo[i];
                T farthest = below > above ? below : above, nearest = below > above ? -above : -below;
                keep(nearest > 0 ? nearest : T(0), 0, least + first, static_cast<int32_t*>(nullptr), near, count);
                keep(farthest, 0, most + first, static_cast<int32_t*>(nullptr), far, count);
            }
        }
    }
}

}  // namespace

extern "C" {

void sorted_forward_float(const float* x, const float* w, float* out, int32_t* index, int64_t count, int64_t n,
                          int64_t m, int64_t d, int64_t from, int64_t to) {
    sorted_forward(x, w, out, index, count, n, m, d, from, to);
}

void sorted_forward_double(const double* x, const double* w, double* out, int32_t* index, int64_t count, int64_t n,
                           int64_t m, int64_t d, int64_t from, int64_t to) {
    sorted_forward(x, w, out, index, count, n, m, d, from, to);
}

void sorted_bounds_float(const float* low, const float* high, const float* w, float* least, float* most, int64_t count,
                         int64_t n, int64_t m, int64_t d, int64_t from, int64_t to) {
    sorted_bounds(low, high, w, least, most, count, n, m, d, from, to);
}

void sorted_bounds_double(const double* low, const double* high, const double* w, double* least, double* most,
                          int64_t count, int64_t n, int64_t m, int64_t d, int64_t from, int64_t to) {
    sorted_bounds(low, high, w, least, most, count, n, m, d, from, to);
}

void max_forward_float(const float* x, const float* w, float* out, int32_t* index, int64_t n, int64_t m, int64_t d,
                       int64_t from, int64_t to) {
    max_forward(x, w, out, index, n, m, d, from, to);
}

void max_forward_double(const double* x, const double* w, double* out, int32_t* index, int64_t n, int64_t m, int64_t d,
                        int64_t from, int64_t to) {
    max_forward(x, w, out, index, n, m, d, from, to);
}

void bounds_float(const float* low, const float* high, const float* w, float* least, float* most, int64_t n, int64_t m,
                  int64_t d, int64_t from, int64_t to) {
    bounds(low, high, w, least, most, n, m, d, from, to);
}

void bounds_double(const double* low, const double* high, const double* w, double* least, double* most, int64_t n,
                   int64_t m, int64_t d, int64_t from, int64_t to) {
    bounds(low, high, w, least, most, n, m, d, from, to);
}

// ||x_b - w_o||_p = r (sum_i (|z_i| / r)^p)^(1/p) with r the l_inf distance: no power leaves [0, 1].
void power_forward(const float* x, const float* w, float* out, float p, int64_t n, int64_t m, int64_t d, int64_t from,
                   int64_t to) {
    for (int64_t b = 0; b < n; ++b) {
        for (int64_t o = from; o < to; ++o) {
            const float *xb = x + b * d, *wo = w + o * d;
            float r = largest_difference(xb, wo, d), sum = 0.0f;
            if (r < std::numeric_limits<float>::min()) {  // equal rows, or differences too small to divide by
                out[b * m + o] = r;
                continue;
            }
#pragma omp simd reduction(+ : sum)
            for (int64_t i = 0; i < d; ++i) sum += exp2_fast(p * log2_fast(std::fabs(xb[i] - wo[i]) / r));
            out[b * m + o] = r * std::exp2(std::log2(sum) / p);
        }
    }
}

// d/dx_i = g (|z_i| / D)^(p - 1) sign(z_i), with D >= |z_i| the distance, and minus that for w_i.
void power_backward(const float* x, const float* w, const float* out, const float* grad, float* grad_x, float* grad_w,
                    float p, int64_t n, int64_t m, int64_t d, int64_t from, int64_t to) {
    for (int64_t b = 0; b < n; ++b) {
        for (int64_t o = from; o < to; ++o) {
            const float *xb = x + b * d, *wo = w + o * d;
            float *gx = grad_x + b * d, *gw = grad_w + o * d;
            float distance = out[b * m + o], g = grad[b * m + o];
            if (distance < std::numeric_limits<float>::min() || g == 0.0f) continue;
            float scale = 1.0f / distance, power = p - 1.0f;
#pragma omp simd
            for (int64_t i = 0; i < d; ++i) {
                float z = xb[i] - wo[i];
                float size = exp2_fast(power * log2_fast(std::fabs(z) * scale));
                float sign = (z > 0.0f ? 1.0f : 0.0f) - (z < 0.0f ? 1.0f : 0.0f);
                float change = g * sign * size;
                gx[i] += change;
                gw[i] -= change;
            }
        }
    }
}

}  // extern "C"
