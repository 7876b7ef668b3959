//go:build unix

package wire

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// tryWrite returns how much was written without waiting.
func tryWrite(c net.Conn, b []byte) (n int, err error) {
	conn, ok := c.(syscall.Conn)
	if !ok {
		return 0, nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var writeErr error
	err = raw.Write(func(fd uintptr) bool {
		n, writeErr = unix.Write(int(fd), b)
		return true
	})
	switch {
	case err != nil:
		return 0, err
	case errors.Is(writeErr, unix.EAGAIN), errors.Is(writeErr, unix.EINTR):
		return 0, nil
	}
	return max(n, 0), writeErr
}
