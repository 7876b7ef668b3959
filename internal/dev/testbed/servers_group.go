package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// member is a server of a program that we build: one etcd, nats-server or
// sidecar.
type member struct {
	*Process
	ports []*reservedPort // the clients' first
	certs *Certificates

	closing sync.Once
	closed  error
}

// newMember reserves a folder and n ports.
func newMember(kind string, n int) (*member, error) {
	dir, err := newFolder(kind)
	if err != nil {
		return nil, err
	}
	m := &member{Process: newProcess(processSpec{dir: dir})}
	for range n {
		p, err := reservePort()
		if err != nil {
			return nil, errors.Join(err, m.Close())
		}
		m.ports = append(m.ports, p)
	}
	return m, nil
}

// Addr is the server's TCP address for clients, "127.0.0.1:PORT". It stays the
// same over restarts.
func (m *member) Addr() string { return m.ports[0].addr() }

// Certificates returns the certificates of a server with TLS, else nil.
func (m *member) Certificates() *Certificates { return m.certs }

// Close kills the server, removes its folder and gives its ports back. Closing
// twice is harmless.
func (m *member) Close() error {
	m.closing.Do(func() {
		m.closed = m.close()
		for _, p := range m.ports {
			m.closed = errors.Join(m.closed, p.release())
		}
	})
	return m.closed
}

func (m *member) path(name string) string { return filepath.Join(m.Dir(), name) }

// starter is a server that can be started.
type starter interface {
	server
	Start(context.Context) error
}

// startAll starts servers at the same time, because the servers of a cluster wait
// for each other. If one fails, all are closed.
func startAll[S starter](ctx context.Context, servers []S) error {
	if err := atOnce(servers, func(s S) error { return s.Start(ctx) }); err != nil {
		return errors.Join(err, closeAll(servers))
	}
	return nil
}

// startGroup builds the servers' program, and makes and starts a group of servers.
func startGroup[G interface{ start(context.Context) error }](ctx context.Context, newGroup func(program string) (G, error)) (g G, err error) {
	program, err := BuildServers(ctx)
	if err != nil {
		return g, err
	}
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	return retryBind(func() (G, error) {
		g, err := newGroup(program)
		if err != nil {
			return g, err
		}
		return g, g.start(ctx)
	})
}

// retryBind calls start again if another program has taken a port.
func retryBind[T any](start func() (T, error)) (t T, err error) {
	for range bindAttempts {
		t, err = start()
		if err == nil || !strings.Contains(err.Error(), "address already in use") {
			return t, err
		}
	}
	return t, err
}

// httpGet is the body of a page that answers 200.
func httpGet(ctx context.Context, url string) ([]byte, error) {
	return httpGetStatus(ctx, url, http.StatusOK, nil)
}

func httpGetStatus(ctx context.Context, url string, want int, header http.Header) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true // no idle connection outlives the call
	if header != nil {
		req.Header = header
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != want {
		err = fmt.Errorf("GET %s: %s: %s", url, res.Status, body)
	}
	return body, err
}
