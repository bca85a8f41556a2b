#include "CLinuxMemory.h"

#include <malloc.h>

size_t asterism_allocated(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}
