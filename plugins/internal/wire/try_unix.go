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
	n, err = try(c, syscall.RawConn.Write, func(fd int) (int, error) { return unix.Write(fd, b) })
	if errors.Is(err, errors.ErrUnsupported) {
		return 0, nil
	}
	return n, err
}

// tryRead returns how much was read without waiting. An end is no error.
func tryRead(c net.Conn, b []byte) (n int, err error) {
	return try(c, syscall.RawConn.Read, func(fd int) (int, error) { return unix.Read(fd, b) })
}

// try does something with a socket that would rather fail than wait.
func try(c net.Conn, how func(syscall.RawConn, func(uintptr) bool) error, do func(fd int) (int, error)) (n int, err error) {
	conn, ok := c.(syscall.Conn)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var doErr error
	err = how(raw, func(fd uintptr) bool {
		n, doErr = do(int(fd))
		return true
	})
	switch {
	case err != nil:
		return 0, err
	case errors.Is(doErr, unix.EAGAIN), errors.Is(doErr, unix.EINTR):
		return 0, nil
	}
	return max(n, 0), doErr
}
