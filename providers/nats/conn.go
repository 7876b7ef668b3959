package nats

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"fairlead.dev"
)

const (
	reconnectWait = 50 * time.Millisecond
	// pingInterval and pingsOut detect a silent server: after 4 to 6 seconds the
	// client gives up the connection and connects to another server.
	pingInterval = 2 * time.Second
	pingsOut     = 2
	// writeTimeout bounds how long a stopped server may hold up a caller that
	// sends.
	writeTimeout = time.Second
)

// connect connects to one of the servers. If ctx ends first, connect returns,
// and the attempt ends with the dial-timeout.
func (p *provider) connect(ctx context.Context) error {
	opts, err := p.config.options()
	if err != nil {
		return err
	}
	opts = append(opts, p.handlers()...)
	type result struct {
		nc  *natsgo.Conn
		err error
	}
	done := make(chan result, 1)
	go func() {
		nc, err := natsgo.Connect(p.config.servers(), opts...)
		done <- result{nc, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return connectError(r.err)
		}
		p.nc = r.nc
	case <-ctx.Done():
		go func() {
			if r := <-done; r.nc != nil {
				r.nc.Close()
			}
		}()
		return fairlead.ContextError(ctx)
	}
	if err := errors.Join(p.calls.attach(p.nc), p.streams.attach()); err != nil {
		p.nc.Close()
		return mapErr(err, false)
	}
	return nil
}

// connectError is mapErr for what Connect returns.
func connectError(err error) error {
	if isPermission(err) {
		return mapErr(err, false)
	}
	text := strings.ToLower(err.Error())
	for _, hint := range []string{"authorization", "nkey", "jwt", "credential"} {
		if strings.Contains(text, hint) {
			return fairlead.Errorf(fairlead.PermissionDenied, "the server refuses the credentials: %w", err)
		}
	}
	return fairlead.Errorf(fairlead.Unavailable, "cannot connect: %w", err)
}

func (c config) servers() string {
	urls := make([]string, len(c.hosts))
	for i, h := range c.hosts {
		urls[i] = "nats://" + h
	}
	return strings.Join(urls, ",")
}

// options returns the options of the client. The client buffers nothing while
// it is disconnected: a buffered write would be reported as failed and applied
// later.
func (c config) options() ([]natsgo.Option, error) {
	opts := []natsgo.Option{
		natsgo.Name("fairlead"),
		natsgo.Timeout(c.dialTimeout),
		natsgo.MaxReconnects(-1),
		natsgo.ReconnectWait(reconnectWait),
		natsgo.ReconnectJitter(reconnectWait, reconnectWait),
		natsgo.ReconnectBufSize(-1),
		natsgo.PingInterval(pingInterval),
		natsgo.MaxPingsOutstanding(pingsOut),
		natsgo.FlusherTimeout(writeTimeout),
		natsgo.IgnoreAuthErrorAbort(),
		natsgo.SetCustomDialer(&net.Dialer{Timeout: c.dialTimeout, KeepAlive: 15 * time.Second}),
	}
	if c.tls != nil {
		opts = append(opts, natsgo.Secure(c.tls))
	}
	switch {
	case c.user != "":
		opts = append(opts, natsgo.UserInfo(c.user, c.password.Reveal()))
	case c.token != nil:
		opts = append(opts, natsgo.Token(c.token.Reveal()))
	case c.nkeyFile != "":
		o, err := natsgo.NkeyOptionFromSeed(c.nkeyFile)
		if err != nil {
			return nil, invalid("setting \"nkey-file\" names a file that holds no usable seed of an NKey")
		}
		opts = append(opts, o)
	case c.credsFile != "":
		opts = append(opts, natsgo.UserCredentials(c.credsFile))
	}
	return opts, nil
}

// handlers returns the client's callbacks for changes of the connection.
func (p *provider) handlers() []natsgo.Option {
	return []natsgo.Option{
		natsgo.DisconnectErrHandler(func(_ *natsgo.Conn, err error) {
			p.calls.failAll()
			p.streams.failAll()
			if err != nil {
				p.logger.Debug("nats: the connection broke", slog.Any("error", err))
			}
		}),
		natsgo.ReconnectHandler(func(*natsgo.Conn) {
			p.reconnected.increment()
			p.probeSoon.Fire()
		}),
		natsgo.ErrorHandler(func(_ *natsgo.Conn, _ *natsgo.Subscription, err error) {
			p.logger.Debug("nats: an error of the connection", slog.Any("error", err))
			if errors.Is(err, natsgo.ErrPermissionViolation) {
				p.calls.failDenied(err)
			}
		}),
	}
}
