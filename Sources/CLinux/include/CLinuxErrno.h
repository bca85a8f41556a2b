#ifndef ASTERISM_CLINUX_ERRNO_H
#define ASTERISM_CLINUX_ERRNO_H

// The symbolic name and the text of an errno value, or NULL for a value that the C library does not know. Both are
// glibc extensions (2.32) behind _GNU_SOURCE. Unlike strerror(3) they are neither translated nor kept in a buffer that
// another thread may overwrite, so a log reads the same on every machine.
const char *asterism_errno_name(int code);
const char *asterism_errno_text(int code);

#endif
