package testbed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// rabbitScript is where Debian has the script that becomes the server. The one
// in the PATH changes to another user.
const rabbitScript = "/usr/lib/rabbitmq/bin/rabbitmq-server"

// rabbitPatience is for machines that are busy: to start takes a broker some
// seconds of computing, and many a sync of its disk.
const rabbitPatience = 3 * time.Minute

// RabbitServer is a RabbitMQ broker in a separate process. Its data is kept
// over restarts. The user guest, with the password guest, may do everything.
type RabbitServer struct {
	*Process
	ports [3]*reservedPort // of AMQP, of Erlang's distribution, of the port mapper
	// mapper is Erlang's port mapper. A broker that finds none starts one,
	// which would outlive the test program.
	mapper *Process
	tls    bool
	certs  *Certificates

	closing sync.Once
	closed  error
}

// RabbitOption changes how a RabbitMQ broker is set up.
type RabbitOption func(*RabbitServer)

// RabbitTLS makes the broker accept TLS only, with certificates made for it.
func RabbitTLS() RabbitOption { return func(s *RabbitServer) { s.tls = true } }

// StartRabbit starts a RabbitMQ broker and returns when it serves. The caller
// has to Close it.
func StartRabbit(ctx context.Context, opts ...RabbitOption) (*RabbitServer, error) {
	for _, path := range []string{rabbitScript, "epmd"} {
		if _, err := exec.LookPath(path); err != nil {
			return nil, fmt.Errorf("testbed: %s is not installed: run `make deps`, or install the Debian package rabbitmq-server: %w", path, err)
		}
	}
	var last error
	for range bindAttempts {
		s, err := startRabbit(ctx, opts)
		if err == nil {
			return s, nil
		}
		if !strings.Contains(err.Error(), "eaddrinuse") {
			return nil, err
		}
		last = err
	}
	return nil, last
}

func startRabbit(ctx context.Context, opts []RabbitOption) (*RabbitServer, error) {
	dir, err := newFolder("rabbit")
	if err != nil {
		return nil, err
	}
	s := &RabbitServer{Process: newProcess(processSpec{path: rabbitScript, args: []string{"-noinput"}, dir: dir, patience: rabbitPatience})}
	s.spec.ready = s.ping
	for _, o := range opts {
		o(s)
	}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.mapper.Start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.Start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare reserves the ports and writes the files that the broker reads.
func (s *RabbitServer) prepare() (err error) {
	mapperDir := filepath.Join(s.Dir(), "epmd")
	if err := os.Mkdir(mapperDir, 0o700); err != nil {
		return err
	}
	s.mapper = newProcess(processSpec{path: "epmd", dir: mapperDir, ready: s.pingMapper})
	for i := range s.ports {
		if s.ports[i], err = reservePort(); err != nil {
			return err
		}
	}
	s.mapper.spec.args = []string{"-address", "127.0.0.1", "-port", s.port(2)}
	s.spec.env = s.environment()
	if s.tls {
		if s.certs, err = NewCertificates(s.Dir()); err != nil {
			return err
		}
	}
	return errors.Join(
		os.WriteFile(s.file("rabbitmq.conf"), []byte(s.conf()), 0o600),
		os.WriteFile(s.file("enabled_plugins"), []byte("[]."), 0o600),
	)
}

// conf is the text of rabbitmq.conf.
func (s *RabbitServer) conf() string {
	lines := []string{"log.console = true", "log.console.level = warning", "log.file = false"}
	if s.tls {
		lines = append(lines, "listeners.tcp = none", "listeners.ssl.local = "+s.Addr(),
			"ssl_options.cacertfile = "+s.certs.CA, "ssl_options.certfile = "+s.certs.ServerCert,
			"ssl_options.keyfile = "+s.certs.ServerKey)
	} else {
		lines = append(lines, "listeners.tcp.local = "+s.Addr())
	}
	return strings.Join(lines, "\n") + "\n"
}

func (s *RabbitServer) file(name string) string { return filepath.Join(s.Dir(), name) }

func (s *RabbitServer) port(i int) string { return strconv.Itoa(s.ports[i].number) }

// environment tells the script where all folders are. With
// RABBITMQ_ALLOW_INPUT it becomes the broker, rather than wait for it.
func (s *RabbitServer) environment() []string {
	return []string{
		"HOME=" + s.Dir(), // for the cookie
		"ERL_EPMD_PORT=" + s.port(2), "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_ALLOW_INPUT=1",
		"RABBITMQ_NODENAME=fairlead" + s.port(0) + "@localhost",
		"RABBITMQ_DIST_PORT=" + s.port(1),
		"RABBITMQ_MNESIA_BASE=" + s.file("data"),
		"RABBITMQ_LOG_BASE=" + s.file("logs"),
		"RABBITMQ_CONFIG_FILE=" + s.file("rabbitmq"),
		"RABBITMQ_ADVANCED_CONFIG_FILE=" + s.file("none"),
		"RABBITMQ_CONF_ENV_FILE=" + s.file("none"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + s.file("enabled_plugins"),
		// Threads that spin while they wait are for machines of their own.
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
	}
}

// Addr is the broker's TCP address, "127.0.0.1:PORT". It stays the same over
// restarts.
func (s *RabbitServer) Addr() string { return s.ports[0].addr() }

// URL is "amqp://guest:guest@127.0.0.1:PORT", or "amqps://…" for a broker that
// speaks TLS.
func (s *RabbitServer) URL() string {
	if s.tls {
		return "amqps://guest:guest@" + s.Addr()
	}
	return "amqp://guest:guest@" + s.Addr()
}

// Certificates returns the certificates of a broker with RabbitTLS, else nil.
func (s *RabbitServer) Certificates() *Certificates { return s.certs }

// ping succeeds when the broker answers the first bytes of AMQP 0-9-1.
func (s *RabbitServer) ping(ctx context.Context) error {
	c, err := dial(ctx, s.Addr())
	if err != nil {
		return err
	}
	defer c.Close()
	if s.tls {
		config, err := s.certs.ClientConfig()
		if err != nil {
			return err
		}
		config.ServerName = "localhost"
		c = tls.Client(c, config)
	}
	if _, err := c.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return err
	}
	frame := make([]byte, 1)
	_, err = io.ReadFull(c, frame)
	return err
}

func (s *RabbitServer) pingMapper(ctx context.Context) error {
	c, err := dial(ctx, s.ports[2].addr())
	if err != nil {
		return err
	}
	return c.Close()
}

// dial connects, with a second for this and all that follows.
func dial(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(time.Second))
	}
	return c, err
}

// Close kills the broker, removes its folder and gives its ports back. Closing
// twice is harmless.
func (s *RabbitServer) Close() error {
	s.closing.Do(func() {
		if s.mapper != nil {
			s.closed = s.mapper.close()
		}
		s.closed = errors.Join(s.Process.close(), s.closed)
		for _, p := range s.ports {
			if p != nil {
				s.closed = errors.Join(s.closed, p.release())
			}
		}
	})
	return s.closed
}
