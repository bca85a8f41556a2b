// AES-256-GCM with VAES and VPCLMULQDQ. Sources/FastAES/FastAES.swift explains it, and only that file may call it.
//
// It is C because only C can compile a single function for a processor that the rest of the program does not require
// (`__attribute__((target))`). Swift has such flags for whole modules only. Then the copies of generic functions that the
// module leaves to the linker would hold AVX2 instructions too, and the linker might choose them for the whole program.

#ifndef ASTERISM_CFASTAES_H
#define ASTERISM_CFASTAES_H

#include <stddef.h>
#include <stdint.h>

// Round keys, each twice, then the powers of H. Aligned to 64 bytes it is read fastest; any alignment is right.
#define ASTERISM_GCM_STATE_COUNT 768

// Whether processor and kernel have everything that the functions below need. They must not be called otherwise.
int asterism_gcm_is_available(void);

// `key` has 32 bytes, `state` ASTERISM_GCM_STATE_COUNT.
void asterism_gcm_expand(void *state, const void *key);
// Writes zeros that no optimizer removes.
void asterism_gcm_wipe(void *memory, size_t count);

// `to` is `from`, or does not overlap it; the nonce has 12 bytes and the tag 16.
void asterism_gcm_seal(
    const void *state, const void *nonce, const void *aad, size_t aad_count, const void *from, size_t count, void *to,
    void *tag);
// 1 if authentic; else 0, and `to` holds zeros.
int asterism_gcm_open(
    const void *state, const void *nonce, const void *aad, size_t aad_count, const void *from, size_t count, void *to,
    const void *tag);

#endif
