package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"fairlead.dev"
)

const (
	unixPrefix = "unix:"
	// nobodyPrefix starts the address that stands for a service without
	// servers.
	nobodyPrefix = "nobody:"
)

// network splits an address of a directory as package net wants it.
func network(address string) (string, string) {
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		return "unix", path
	}
	return "tcp", address
}

// dialAddress connects to an address of a directory.
func dialAddress(ctx context.Context, address string) (net.Conn, error) {
	if service, nobody := strings.CutPrefix(address, nobodyPrefix); nobody {
		return nil, fmt.Errorf("no server is registered under the name %q", service)
	}
	var d net.Dialer
	network, address := network(address)
	return d.DialContext(ctx, network, address)
}

// listenAt listens at an address. A Unix socket that a killed process left
// behind is taken over.
func listenAt(ctx context.Context, address string) (net.Listener, error) {
	var c net.ListenConfig
	network, address := network(address)
	l, err := c.Listen(ctx, network, address)
	if network == "unix" && errors.Is(err, syscall.EADDRINUSE) && deserted(ctx, address) {
		_ = os.Remove(address) // Listen says it if this failed
		l, err = c.Listen(ctx, network, address)
	}
	if err != nil {
		return nil, fairlead.Errorf(fairlead.Unavailable, "ListenAt: %w", err)
	}
	return l, nil
}

// deserted reports whether nobody listens at a Unix socket.
func deserted(ctx context.Context, path string) bool {
	conn, err := dialAddress(ctx, unixPrefix+path)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// advertised returns the address that clients are told.
func advertised(advertise string, at net.Addr) (string, error) {
	tcp, ok := at.(*net.TCPAddr)
	if !ok {
		if advertise == "" {
			advertise = unixPrefix + at.String()
		}
		return advertise, nil
	}
	if advertise == "" {
		if tcp.IP.IsUnspecified() {
			return "", fairlead.Errorf(fairlead.Invalid,
				"the server listens at all addresses of this machine (%s), which clients cannot dial; say with Advertise which one they use", at)
		}
		return at.String(), nil
	}
	_, port, err := net.SplitHostPort(at.String())
	if host, ok := strings.CutSuffix(advertise, ":0"); ok && err == nil && !strings.HasPrefix(advertise, unixPrefix) {
		advertise = host + ":" + port
	}
	return advertise, nil
}
