package testbed

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports come from below the range that Linux and macOS use for outgoing
// connections. Otherwise the connection of another program could take the port of
// a server while it is down.
const (
	firstPort    = 15000
	portCount    = 17000
	portAttempts = 200
)

// held has the ports that this process has reserved, for the systems where
// holdPort holds nothing.
var held sync.Map

// reservedPort is a loopback TCP port that no other testbed uses until it is
// released, whether a server listens on it or not.
type reservedPort struct {
	number int
	free   func() error
}

func (p *reservedPort) addr() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.number))
}

func (p *reservedPort) release() error {
	held.Delete(p.number)
	return p.free()
}

// reservePort finds a port on which nothing listens. A program that knows
// nothing of the testbed may still take it before the server binds: the caller
// must handle that.
func reservePort() (*reservedPort, error) {
	var last error
	for range portAttempts {
		p, err := tryPort(firstPort + rand.IntN(portCount))
		if err == nil {
			return p, nil
		}
		last = err
	}
	return nil, fmt.Errorf("testbed: no free loopback port after %d attempts: %w", portAttempts, last)
}

func tryPort(n int) (*reservedPort, error) {
	if _, taken := held.LoadOrStore(n, true); taken {
		return nil, fmt.Errorf("port %d is reserved", n)
	}
	free, err := holdPort(n)
	if err != nil {
		held.Delete(n)
		return nil, err
	}
	p := &reservedPort{number: n, free: free}
	l, err := net.Listen("tcp", p.addr())
	if err != nil {
		return nil, errors.Join(err, p.release())
	}
	return p, l.Close()
}
