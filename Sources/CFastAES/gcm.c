#include "CFastAES.h"

#include <string.h>

void asterism_gcm_wipe(void *memory, size_t count) {
    memset(memory, 0, count);
    __asm__ volatile("" : : "r"(memory) : "memory");
}

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

int asterism_gcm_is_available(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    const unsigned first = bit_PCLMUL | bit_SSSE3 | bit_SSE4_1 | bit_AES | bit_OSXSAVE | bit_AVX;
    if ((c & first) != first) return 0;
    // The kernel must save the upper halves of the registers, or a task switch loses them.
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 6) != 6) return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    return (b & bit_AVX2) && (c & bit_VAES) && (c & bit_VPCLMULQDQ);
}

#define TARGET __attribute__((target("aes,pclmul,avx2,vaes,vpclmulqdq")))
#define INLINE TARGET __attribute__((always_inline)) static inline

enum { rounds = 14, round_keys = rounds + 1, powers = 16, group = 128 };

// `power[i]` is H^(16 - i): n successive blocks meet n successive powers and end at H.
typedef struct {
    __m256i_u round_key[round_keys];
    uint8_t gap[32];
    __m128i_u power[powers];
} State;
_Static_assert(sizeof(State) == ASTERISM_GCM_STATE_COUNT, "the header states how large a state is");

// Makes the compiler discard what it has read through a pointer. Otherwise the compiler, which assumes that a read in a loop
// is expensive, copies round keys to the stack, where they are never wiped, and reads them from there.
#define READ_ANEW(pointer) __asm__ volatile("" : "+r"(pointer))

INLINE __m128i reversed_128(__m128i x) {
    return _mm_shuffle_epi8(x, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}
INLINE __m256i reversed(__m256i x) {
    return _mm256_shuffle_epi8(
        x, _mm256_broadcastsi128_si256(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}
INLINE __m256i load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i_u *)p); }
INLINE void store(uint8_t *p, __m256i x) { _mm256_storeu_si256((__m256i_u *)p, x); }

// GHASH. A block's bytes are reversed, so that the field's bit order is the machine's; the powers of H carry a factor x
// for the one bit by which the product of two such numbers is short (Gueron and Kounavis, Intel, 2010).

// A product before it is reduced: 128 by 128 bits, in each half of the registers.
typedef struct { __m256i low, middle, high; } Sum;

INLINE Sum product(__m256i blocks, __m256i h) {
    Sum s;
    s.low = _mm256_clmulepi64_epi128(blocks, h, 0x00);
    s.middle = _mm256_xor_si256(
        _mm256_clmulepi64_epi128(blocks, h, 0x01), _mm256_clmulepi64_epi128(blocks, h, 0x10));
    s.high = _mm256_clmulepi64_epi128(blocks, h, 0x11);
    return s;
}
INLINE Sum add(Sum a, Sum b) {
    a.low = _mm256_xor_si256(a.low, b.low);
    a.middle = _mm256_xor_si256(a.middle, b.middle);
    a.high = _mm256_xor_si256(a.high, b.high);
    return a;
}
// Modulo x^128 + x^7 + x^2 + x + 1, in two folds of 64 bits; then the sum of both halves.
INLINE __m128i reduced(Sum s) {
    const __m256i polynomial = _mm256_broadcastsi128_si256(_mm_set_epi64x((long long)0xc200000000000000, 1));
    __m256i fold = _mm256_clmulepi64_epi128(polynomial, s.low, 0x01);
    s.middle = _mm256_xor_si256(s.middle, _mm256_xor_si256(_mm256_shuffle_epi32(s.low, 0x4e), fold));
    fold = _mm256_clmulepi64_epi128(polynomial, s.middle, 0x01);
    s.high = _mm256_xor_si256(s.high, _mm256_xor_si256(_mm256_shuffle_epi32(s.middle, 0x4e), fold));
    return _mm_xor_si128(_mm256_castsi256_si128(s.high), _mm256_extracti128_si256(s.high, 1));
}
// A register with a block in its lower half and none in the upper.
INLINE __m256i alone(__m128i x) { return _mm256_inserti128_si256(_mm256_setzero_si256(), x, 0); }

INLINE __m256i power_pair(const State *state, int first) {
    return _mm256_loadu_si256((const __m256i_u *)&state->power[powers - first]);
}
INLINE __m256i power_alone(const State *state, int which) { return alone(state->power[powers - which]); }

// The hash after eight more blocks, in their order in memory.
INLINE __m128i hashed(const State *state, __m128i hash, __m256i a, __m256i b, __m256i c, __m256i d) {
    READ_ANEW(state);
    Sum s = product(reversed(d), power_pair(state, 2));
    s = add(s, product(reversed(c), power_pair(state, 4)));
    s = add(s, product(reversed(b), power_pair(state, 6)));
    return reduced(add(s, product(_mm256_xor_si256(reversed(a), alone(hash)), power_pair(state, 8))));
}

// Pieces of a block. Lengths are not secret, and no byte outside the piece is accessed.

INLINE uint64_t load_64(const uint8_t *p) { uint64_t x; memcpy(&x, p, 8); return x; }
INLINE uint32_t load_32(const uint8_t *p) { uint32_t x; memcpy(&x, p, 4); return x; }

// 1 to 15 bytes and zeros.
INLINE __m128i load_piece_128(const uint8_t *p, size_t count) {
    if (count >= 8) {
        const uint64_t end = load_64(p + count - 8);
        return _mm_set_epi64x(count == 8 ? 0 : (long long)(end >> (8 * (16 - count))), (long long)load_64(p));
    }
    if (count >= 4) {
        const uint64_t end = load_32(p + count - 4);
        return _mm_set_epi64x(0, (long long)(load_32(p) | end << (8 * (count - 4))));
    }
    const uint64_t middle = count / 2, last = count - 1;
    return _mm_set_epi64x(
        0, (long long)((uint64_t)p[0] | (uint64_t)p[middle] << (8 * middle) | (uint64_t)p[last] << (8 * last)));
}
INLINE void store_piece_128(uint8_t *p, size_t count, __m128i x) {
    uint64_t word = (uint64_t)_mm_cvtsi128_si64(x);
    if (count >= 8) {
        memcpy(p, &word, 8);
        p += 8;
        count -= 8;
        word = (uint64_t)_mm_extract_epi64(x, 1);
    }
    if (count >= 4) {
        memcpy(p, &word, 4);
        p += 4;
        count -= 4;
        word >>= 32;
    }
    for (; count > 0; count--, word >>= 8) *p++ = (uint8_t)word;
}
// 1 to 31 bytes and zeros.
INLINE __m256i load_piece(const uint8_t *p, size_t count) {
    if (count < 16) return alone(load_piece_128(p, count));
    const __m128i first = _mm_loadu_si128((const __m128i_u *)p);
    if (count == 16) return alone(first);
    return _mm256_set_m128i(load_piece_128(p + 16, count - 16), first);
}
INLINE void store_piece(uint8_t *p, size_t count, __m256i x) {
    __m128i half = _mm256_castsi256_si128(x);
    if (count >= 16) {
        _mm_storeu_si128((__m128i_u *)p, half);
        p += 16;
        count -= 16;
        half = _mm256_extracti128_si256(x, 1);
    }
    if (count > 0) store_piece_128(p, count, half);
}
// The first `count` bytes of `x`, and zeros.
INLINE __m256i kept(__m256i x, size_t count) {
    static const uint8_t masks[64] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    };
    return _mm256_and_si256(x, load(masks + 32 - count));
}

// AES in counter mode. A counter block is kept reversed too, so that its 32-bit counter is the lowest word.

#define EACH_ROUND(step) \
    step(1) step(2) step(3) step(4) step(5) step(6) step(7) step(8) step(9) step(10) step(11) step(12) step(13)

INLINE __m128i encrypted_128(const State *state, __m128i x) {
#define KEY(n) _mm256_castsi256_si128(state->round_key[n])
#define STEP(n) x = _mm_aesenc_si128(x, KEY(n));
    READ_ANEW(state);
    x = _mm_xor_si128(x, KEY(0));
    EACH_ROUND(STEP)
    return _mm_aesenclast_si128(x, KEY(14));
#undef STEP
#undef KEY
}

// `count` pairs of key stream blocks; unrolled, since `count` is a constant wherever this is inlined.
INLINE void key_stream(const State *state, __m256i *counter, __m256i *out, int count) {
    READ_ANEW(state);
    const __m256i two = _mm256_set_epi32(0, 0, 0, 2, 0, 0, 0, 2);
#pragma unroll
    for (int i = 0; i < count; i++) {
        out[i] = _mm256_xor_si256(reversed(*counter), state->round_key[0]);
        *counter = _mm256_add_epi32(*counter, two);
    }
#define STEP(n) \
    _Pragma("unroll") for (int i = 0; i < count; i++) out[i] = _mm256_aesenc_epi128(out[i], state->round_key[n]);
    EACH_ROUND(STEP)
#undef STEP
#pragma unroll
    for (int i = 0; i < count; i++) out[i] = _mm256_aesenclast_epi128(out[i], state->round_key[14]);
}

INLINE void crypt_group(const State *state, __m256i *counter, const uint8_t *from, uint8_t *to) {
    __m256i x[4];
    key_stream(state, counter, x, 4);
#pragma unroll
    for (int i = 0; i < 4; i++) store(to + 32 * i, _mm256_xor_si256(x[i], load(from + 32 * i)));
}

// The same, while eight blocks of ciphertext are hashed: the processor runs both in parallel, but only if their instructions
// are interleaved.
INLINE __m128i crypt_and_hash_group(
    const State *state, __m256i *counter, const uint8_t *from, uint8_t *to, __m128i hash, const uint8_t *sealed
) {
    READ_ANEW(state);
    const __m256i two = _mm256_set_epi32(0, 0, 0, 2, 0, 0, 0, 2);
    __m256i x[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        x[i] = _mm256_xor_si256(reversed(*counter), state->round_key[0]);
        *counter = _mm256_add_epi32(*counter, two);
    }
#define STEP(n) \
    _Pragma("unroll") for (int i = 0; i < 4; i++) x[i] = _mm256_aesenc_epi128(x[i], state->round_key[n]);
    STEP(1)
    STEP(2)
    Sum s = product(reversed(load(sealed + 96)), power_pair(state, 2));
    STEP(3)
    STEP(4)
    s = add(s, product(reversed(load(sealed + 64)), power_pair(state, 4)));
    STEP(5)
    STEP(6)
    s = add(s, product(reversed(load(sealed + 32)), power_pair(state, 6)));
    STEP(7)
    STEP(8)
    s = add(s, product(_mm256_xor_si256(reversed(load(sealed)), alone(hash)), power_pair(state, 8)));
    STEP(9)
    STEP(10)
    hash = reduced(s);
    STEP(11)
    STEP(12)
    STEP(13)
#undef STEP
#pragma unroll
    for (int i = 0; i < 4; i++) {
        x[i] = _mm256_aesenclast_epi128(x[i], state->round_key[14]);
        store(to + 32 * i, _mm256_xor_si256(x[i], load(from + 32 * i)));
    }
    return hash;
}

INLINE __m128i hash_aad(const State *state, const uint8_t *aad, size_t count) {
    __m128i hash = _mm_setzero_si128();
    for (; count >= group; aad += group, count -= group)
        hash = hashed(state, hash, load(aad), load(aad + 32), load(aad + 64), load(aad + 96));
    if (count == 0) return hash;
    int left = (int)((count + 15) / 16);
    Sum s = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    __m256i before = alone(hash);
    for (; count >= 32; aad += 32, count -= 32, left -= 2) {
        s = add(s, product(_mm256_xor_si256(reversed(load(aad)), before), power_pair(state, left)));
        before = _mm256_setzero_si256();
    }
    if (count > 0) {
        const __m256i h = left == 2 ? power_pair(state, 2) : power_alone(state, 1);
        s = add(s, product(_mm256_xor_si256(reversed(load_piece(aad, count)), before), h));
    }
    return reduced(s);
}

// What is left after the groups of eight blocks, 0 to 127 bytes, and the block of lengths; gives the whole hash.
INLINE __m128i finish(
    const State *state, __m128i hash, __m256i counter, const uint8_t *from, size_t count, uint8_t *to, int is_sealing,
    __m128i lengths
) {
    if (count == 0) return reduced(product(alone(_mm_xor_si128(lengths, hash)), power_alone(state, 1)));
    Sum s = product(alone(lengths), power_alone(state, 1));
    __m256i stream[4];
    if (count > 64) key_stream(state, &counter, stream, 4);
    else key_stream(state, &counter, stream, 2);
    int left = (int)((count + 15) / 16) + 1;
    __m256i before = alone(hash);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (count == 0) break;
        const __m256i h = power_pair(state, left);
        __m256i sealed;
        if (count >= 32) {
            const __m256i text = load(from), result = _mm256_xor_si256(text, stream[i]);
            store(to, result);
            sealed = is_sealing ? result : text;
            from += 32, to += 32, count -= 32;
        } else {
            const __m256i text = load_piece(from, count), result = _mm256_xor_si256(text, stream[i]);
            store_piece(to, count, result);
            // A lone block has zeros beside it, so that it does not matter which power they meet.
            sealed = is_sealing ? kept(result, count) : text;
            count = 0;
        }
        left -= 2;
        s = add(s, product(_mm256_xor_si256(reversed(sealed), before), h));
        before = _mm256_setzero_si256();
    }
    return reduced(s);
}

INLINE __m128i processed(
    const State *state, const uint8_t *nonce, const uint8_t *aad, size_t aad_count, const uint8_t *from, size_t count,
    uint8_t *to, int is_sealing
) {
    const __m128i lengths = _mm_set_epi64x((long long)(aad_count * 8), (long long)(count * 8));
    const __m128i first = _mm_set_epi32(
        (int)__builtin_bswap32(load_32(nonce)), (int)__builtin_bswap32(load_32(nonce + 4)),
        (int)__builtin_bswap32(load_32(nonce + 8)), 1);
    __m256i counter = _mm256_add_epi32(_mm256_broadcastsi128_si256(first), _mm256_set_epi32(0, 0, 0, 2, 0, 0, 0, 1));
    __m128i hash = hash_aad(state, aad, aad_count);
    const uint8_t *hashable = is_sealing ? to : from;
    if (is_sealing && count >= group) {
        // The hash stays one group behind the cipher, so that neither waits for the other.
        crypt_group(state, &counter, from, to);
        from += group, to += group, count -= group;
    }
    for (; count >= group; from += group, to += group, hashable += group, count -= group)
        hash = crypt_and_hash_group(state, &counter, from, to, hash, hashable);
    if (is_sealing && hashable != to)
        hash = hashed(state, hash, load(hashable), load(hashable + 32), load(hashable + 64), load(hashable + 96));
    hash = finish(state, hash, counter, from, count, to, is_sealing, lengths);
    // Here and not at the top, because the compiler would keep round keys on the stack from there to here.
    return _mm_xor_si128(reversed_128(hash), encrypted_128(state, reversed_128(first)));
}

TARGET void asterism_gcm_seal(
    const void *state, const void *nonce, const void *aad, size_t aad_count, const void *from, size_t count, void *to,
    void *tag
) {
    _mm_storeu_si128((__m128i_u *)tag, processed(state, nonce, aad, aad_count, from, count, to, 1));
}

TARGET int asterism_gcm_open(
    const void *state, const void *nonce, const void *aad, size_t aad_count, const void *from, size_t count, void *to,
    const void *tag
) {
    // Before anything is written: the tag may lie where the plaintext goes.
    const __m128i given = _mm_loadu_si128((const __m128i_u *)tag);
    const __m128i expected = processed(state, nonce, aad, aad_count, from, count, to, 0);
    const __m128i difference = _mm_xor_si128(given, expected);
    if (_mm_testz_si128(difference, difference)) return 1;
    asterism_gcm_wipe(to, count);
    return 0;
}

// FIPS 197, 5.2, by the instruction made for it.
#define SUBKEYS(even, odd, constant) \
    even = next_key(even, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(odd, constant), 0xff))
INLINE __m128i next_key(__m128i key, __m128i word) {
    key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
    key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
    return _mm_xor_si128(key, word);
}

TARGET void asterism_gcm_expand(void *memory, const void *key) {
    State *state = memory;
    __m128i even = _mm_loadu_si128((const __m128i_u *)key), odd = _mm_loadu_si128((const __m128i_u *)key + 1);
    state->round_key[0] = _mm256_broadcastsi128_si256(even);
    state->round_key[1] = _mm256_broadcastsi128_si256(odd);
#define PAIR(n, constant) \
    SUBKEYS(even, odd, constant); \
    state->round_key[n] = _mm256_broadcastsi128_si256(even); \
    odd = next_key(odd, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(even, 0), 0xaa)); \
    state->round_key[n + 1] = _mm256_broadcastsi128_si256(odd);
    PAIR(2, 0x01) PAIR(4, 0x02) PAIR(6, 0x04) PAIR(8, 0x08) PAIR(10, 0x10) PAIR(12, 0x20)
#undef PAIR
    SUBKEYS(even, odd, 0x40);
    state->round_key[14] = _mm256_broadcastsi128_si256(even);
    memset(state->gap, 0, sizeof state->gap);

    // H times x, modulo the polynomial: a shift by one, whose carries are masks.
    __m128i h = reversed_128(encrypted_128(state, _mm_setzero_si128()));
    const __m128i carries = _mm_srai_epi32(_mm_shuffle_epi32(h, 0xd3), 31);
    h = _mm_xor_si128(
        _mm_add_epi64(h, h), _mm_and_si128(carries, _mm_set_epi32((int)0xc2000000, 1, 0, 1)));
    __m128i power = h;
    for (int i = powers - 1; i >= 0; i--) {
        state->power[i] = power;
        power = reduced(product(alone(power), alone(h)));
    }
}

#else

int asterism_gcm_is_available(void) { return 0; }
void asterism_gcm_expand(void *state, const void *key) { __builtin_trap(); }
void asterism_gcm_seal(
    const void *state, const void *nonce, const void *aad, size_t aad_count, const void *from, size_t count, void *to,
    void *tag
) {
    __builtin_trap();
}
int asterism_gcm_open(
    const void *state, const void *nonce, const void *aad, size_t aad_count, const void *from, size_t count, void *to,
    const void *tag
) {
    __builtin_trap();
}

#endif
