// The types of sockets and threads that uv.h needs are Glibc's: without this they would be of whichever module the
// compiler happens to read first, and Swift files would need one import or the other by luck. Swift alone reads this
// file, and where it does, Glibc's module is at hand.
#pragma clang module import SwiftGlibc
#include <uv.h>
