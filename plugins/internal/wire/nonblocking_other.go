//go:build !unix

package wire

import (
	"errors"
	"net"
)

// writeNonblocking writes nothing: a goroutine writes the whole frame.
func writeNonblocking(net.Conn, []byte) (int, error) { return 0, nil }

// readNonblocking reads nothing: the blocking read follows.
func readNonblocking(net.Conn, []byte) (n int, err error) { return 0, errors.ErrUnsupported }
