//go:build unix

package regularfile

import "syscall"

// openNonblock keeps an open from waiting for the other end of a named pipe.
const openNonblock = syscall.O_NONBLOCK
