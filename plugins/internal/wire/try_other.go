//go:build !unix

package wire

import (
	"errors"
	"net"
)

// tryWrite writes nothing: a goroutine does it all.
func tryWrite(net.Conn, []byte) (int, error) { return 0, nil }

// tryRead leaves the reading to others.
func tryRead(net.Conn, []byte) (n int, err error) { return 0, errors.ErrUnsupported }
