package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"fairlead.dev"
)

// tryEndpoints connects to the endpoints before the client logs in: etcd's client
// reports every failure of a login, a failed connection included, as a deadline
// that was exceeded. It fails with the reasons if no endpoint can be reached at all.
func (p *provider) tryEndpoints(ctx context.Context) error {
	if p.config.user == "" {
		return nil // the first call reports the reason
	}
	bounded, cancel := context.WithTimeout(ctx, p.config.dialTimeout)
	defer cancel()
	urls := p.config.urls()
	errs := make([]error, len(urls))
	var group sync.WaitGroup
	for i, u := range urls {
		group.Go(func() { errs[i] = tryEndpoint(bounded, p.config.tls, u) })
	}
	group.Wait()
	if err := fairlead.ContextError(ctx); err != nil {
		return err
	}
	var reasons []string
	for i, err := range errs {
		if err == nil {
			return nil
		}
		reasons = append(reasons, fmt.Sprintf("%s: %v", p.config.hosts[i], err))
	}
	return fairlead.Errorf(fairlead.Unavailable, "the server cannot be reached: %s", strings.Join(reasons, "; "))
}

// http2Preface is how a connection of gRPC begins: with the magic of HTTP/2, and
// empty settings.
const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// tryEndpoint returns why an endpoint cannot be reached. It returns nil for one that
// is silent.
func tryEndpoint(ctx context.Context, c *tls.Config, endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	if c != nil {
		c = c.Clone()
		c.NextProtos = []string{"h2"}
	}
	conn, err := dial(ctx, c, u)
	if err != nil {
		return dialCause(err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(time.Now().Add(time.Until(deadline) / 2)) // a silent server gets its chance to answer the login
	}
	answer := make([]byte, 1)
	if _, err = io.WriteString(conn, http2Preface); err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	const tlsAlert = 0x15
	switch {
	case c == nil && (err == nil && answer[0] == tlsAlert || errors.Is(err, io.EOF)):
		return errors.New("the server does not speak plain gRPC, but probably TLS; use etcds://")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	}
	return err
}

// dialCause says what an error of a connection means where Go does not.
func dialCause(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the server ended the connection before TLS began; it probably does not speak TLS; use etcd://")
	case errors.As(err, &op) && op.Op == "remote error":
		return fmt.Errorf("the server refuses the connection: %w", op.Err)
	}
	return err
}
