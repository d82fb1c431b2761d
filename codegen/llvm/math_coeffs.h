// Minimax polynomials of the vector math, lowest power first. Made by tools/python/math_coeffs.py: change that, not
// this.
#ifndef NNC_CODEGEN_LLVM_MATH_COEFFS_H
#define NNC_CODEGEN_LLVM_MATH_COEFFS_H

#include <stdint.h>

// exp(r) = 1 + r + r^2 q(r), |r| <= ln(2)/2; error 2^-28.3
static const float exp_q[] = {0x1.fffffcp-2f, 0x1.555492p-3f, 0x1.5558acp-5f, 0x1.123976p-7f, 0x1.6a5054p-10f};
// exp(r) - 1 = r + r^2 q(r), |r| <= ln(2)/2; error 2^-31.1
static const float expm1_q[] = {0x1.000000p-1f, 0x1.555554p-3f,  0x1.5554f8p-5f,
                                0x1.1112dap-7f, 0x1.6d3a58p-10f, 0x1.9e6c66p-13f};
// log(1+f) = f - f^2/2 + f^3 q(f), sqrt(1/2) <= 1+f <= sqrt(2); error 2^-27.4
static const float log_q[] = {0x1.555554p-2f, -0x1.000226p-2f, 0x1.99a01cp-3f, -0x1.54728ap-3f,
                              0x1.22d92ep-3f, -0x1.0d8242p-3f, 0x1.055ec2p-3f, -0x1.38c9cap-4f};
// tanh(x) = x + x^3 q(x^2), |x| <= 0.62; error 2^-27.9
static const float tanh_q[] = {-0x1.555536p-2f, 0x1.1107d2p-3f, -0x1.b85328p-5f, 0x1.52bfc8p-6f, -0x1.78a444p-8f};
// erf(x) = x + x q(x^2), |x| <= 0.9375; error 2^-30.1
static const float erf_q[] = {0x1.06eba8p-3f, -0x1.812742p-2f,  0x1.ce2de6p-4f, -0x1.b80c08p-6f,
                              0x1.54b154p-8f, -0x1.a97ffep-11f, 0x1.5a7070p-14f};
// erfc(x) = exp(p(x)), 0.9375 <= x <= 3.95; error 2^-34.6
static const float erfc_p[] = {0x1.77fc76p-13f, -0x1.212956p+0f, -0x1.444038p-1f, -0x1.bbb710p-4f,
                               0x1.9c127ep-6f,  -0x1.1222cap-8f, 0x1.ca23ecp-12f, -0x1.65783ap-16f};
// atan(x) = x + x^3 q(x^2), |x| <= 1; error 2^-28.5
static const float atan_q[] = {-0x1.55553ep-2f, 0x1.9991e4p-3f,  -0x1.242086p-3f, 0x1.c08c52p-4f,  -0x1.580946p-4f,
                               0x1.da2b56p-5f,  -0x1.fd82ccp-6f, 0x1.642d0ap-7f,  -0x1.d36fe6p-10f};
// sin(r) = r + r^3 q(r^2), |r| <= pi/4; error 2^-47.5
static const double sin_q[] = {-0x1.55555555521f7p-3, 0x1.1111110c82821p-7, -0x1.a019f932e9723p-13,
                               0x1.71d76996f3370p-19, -0x1.a96058b371e66p-26};
// cos(r) = 1 - r^2/2 + r^4 q(r^2), |r| <= pi/4; error 2^-53.5
static const double cos_q[] = {0x1.55555555530e5p-5, -0x1.6c16c16766e33p-10, 0x1.a019faa50e1d2p-16,
                               -0x1.27e0281585528p-22, 0x1.1bc6f7d59b523p-29};
// log2((1+s)/(1-s)) = s q(s^2), |s| <= 3 - sqrt(8); error 2^-54.4
static const double log2_q[] = {0x1.71547652b82fep+1, 0x1.ec709dc3a047fp-1, 0x1.2776c50ee3374p-1, 0x1.a61762d743ccbp-2,
                                0x1.484afb32a56bdp-2, 0x1.0ca16f4f7bc41p-2, 0x1.c46b036b9ac49p-3, 0x1.b5b25f7358518p-3};
// 2^f = q(f), |f| <= 1/2; error 2^-46.1
static const double exp2_q[] = {
    0x1.000000000003ap+0,  0x1.62e42fefa3750p-1,  0x1.ebfbdff815673p-3,  0x1.c6b08d70d240ep-5,  0x1.3b2ab72a1f10bp-7,
    0x1.5d87fd8fbe139p-10, 0x1.43088faf65055p-13, 0x1.ffce24ec9bcf1p-17, 0x1.63ee104f826b5p-20, 0x1.b3f3eed16f295p-24};
// erfinv(x) = x q(w - 3.5), w = -log2(1 - x^2) <= 7; error 2^-31.7
static const double erfinv_near[] = {0x1.7baf0541c22dep+0,   0x1.5ef8423dbac93p-3,  -0x1.ea33624462976p-10,
                                     -0x1.cc1654fddd525p-12, 0x1.a9a8cf3c447d1p-15, -0x1.2653242593fd5p-21,
                                     -0x1.b509adfe62f65p-22, 0x1.35cb24846ec9ep-25, 0x1.59535bceea1d9p-30,
                                     -0x1.d5992195efb76p-32, 0x1.3cd07f06ef781p-37, 0x1.76a3b0187c756p-39};
// erfinv(x) = x q(sqrt(w) - 3.75), 7 <= w <= 23.1; error 2^-33.7
static const double erfinv_far[] = {0x1.7a4a31022596fp+1,  0x1.abd5e4727e865p-1,   0x1.4246a6a8af7f7p-8,
                                    -0x1.9457983e335dep-9, 0x1.e2911ea959dfdp-10,  -0x1.0a6fd7bbd0cb4p-10,
                                    0x1.ba5d24f23a753p-12, -0x1.818bf2ffed260p-14, -0x1.6340e8ee508e7p-16,
                                    0x1.e076e0177c76fp-16, -0x1.455aa5cac51d9p-17, -0x1.8242517993414p-20,
                                    0x1.7ca211f9a8180p-20};
// The first 256 bits of 2/pi behind the binary point.
static const uint64_t two_over_pi[] = {0xa2f9836e4e441529u, 0xfc2757d1f534ddc0u, 0xdb6295993c439041u,
                                       0xfe5163abdebbc561u};

#endif
