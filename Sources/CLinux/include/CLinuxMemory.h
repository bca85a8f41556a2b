#ifndef ASTERISM_CLINUX_MEMORY_H
#define ASTERISM_CLINUX_MEMORY_H

#include <stddef.h>

// Bytes that malloc(3) has allocated and that are not freed: mallinfo2(3)'s uordblks and hblkhd, over all arenas. <malloc.h>
// is not part of what Swift imports as Glibc. Cannot fail.
size_t asterism_allocated(void);

#endif
