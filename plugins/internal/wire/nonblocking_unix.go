//go:build unix

package wire

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// writeNonblocking returns how many bytes it wrote without blocking.
func writeNonblocking(c net.Conn, b []byte) (n int, err error) {
	n, err = callNonblocking(c, syscall.RawConn.Write, func(fd int) (int, error) { return unix.Write(fd, b) })
	if errors.Is(err, errors.ErrUnsupported) {
		return 0, nil
	}
	return n, err
}

// readNonblocking returns how many bytes it read without blocking. The end of
// the stream is not an error.
func readNonblocking(c net.Conn, b []byte) (n int, err error) {
	return callNonblocking(c, syscall.RawConn.Read, func(fd int) (int, error) { return unix.Read(fd, b) })
}

// callNonblocking makes one system call on a socket. It returns 0 where the
// call would block.
func callNonblocking(c net.Conn, access func(syscall.RawConn, func(uintptr) bool) error, call func(fd int) (int, error)) (n int, err error) {
	conn, ok := c.(syscall.Conn)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var callErr error
	err = access(raw, func(fd uintptr) bool {
		n, callErr = call(int(fd))
		return true
	})
	switch {
	case err != nil:
		return 0, err
	case errors.Is(callErr, unix.EAGAIN), errors.Is(callErr, unix.EINTR):
		return 0, nil
	}
	return max(n, 0), callErr
}
