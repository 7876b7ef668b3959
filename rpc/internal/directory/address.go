package directory

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
	// noServerPrefix starts the address that stands for a service without
	// servers.
	noServerPrefix = "no-server:"
)

// splitNetwork splits an address of a directory into the network and the address
// that package net takes.
func splitNetwork(address string) (network, netAddress string) {
	if path, ok := strings.CutPrefix(address, unixPrefix); ok {
		return "unix", path
	}
	return "tcp", address
}

// dialAddress connects to an address of a directory.
func dialAddress(ctx context.Context, address string) (net.Conn, error) {
	if service, ok := strings.CutPrefix(address, noServerPrefix); ok {
		return nil, fmt.Errorf("no server is registered under the name %q", service)
	}
	var d net.Dialer
	network, address := splitNetwork(address)
	return d.DialContext(ctx, network, address)
}

// listenAddress listens at an address of a directory. It takes over a Unix
// socket that a killed process has left.
func listenAddress(ctx context.Context, address string) (net.Listener, error) {
	var c net.ListenConfig
	network, address := splitNetwork(address)
	l, err := c.Listen(ctx, network, address)
	if network == "unix" && errors.Is(err, syscall.EADDRINUSE) && isStaleSocket(ctx, address) {
		_ = os.Remove(address) // if this fails, so does Listen
		l, err = c.Listen(ctx, network, address)
	}
	if err != nil {
		return nil, fairlead.Errorf(fairlead.Unavailable, "ListenAt: %w", err)
	}
	return l, nil
}

// isStaleSocket reports whether no process listens at a Unix socket.
func isStaleSocket(ctx context.Context, path string) bool {
	conn, err := dialAddress(ctx, unixPrefix+path)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// addressToAdvertise returns the address that the directory shows to clients, for
// a server that listens at an address and has this option Advertise, or none.
func addressToAdvertise(option string, at net.Addr) (string, error) {
	tcp, ok := at.(*net.TCPAddr)
	if !ok {
		if option == "" {
			option = unixPrefix + at.String()
		}
		return option, nil
	}
	if option == "" {
		if tcp.IP.IsUnspecified() {
			return "", fairlead.Errorf(fairlead.Invalid,
				"the server listens at all addresses of this machine (%s), which clients cannot dial; set the address that they dial with the option Advertise", at)
		}
		return at.String(), nil
	}
	_, port, err := net.SplitHostPort(at.String())
	if host, ok := strings.CutSuffix(option, ":0"); ok && err == nil && !strings.HasPrefix(option, unixPrefix) {
		option = host + ":" + port
	}
	return option, nil
}
