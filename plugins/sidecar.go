package plugins

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"fairlead.dev"
	"fairlead.dev/internal/await"
	"fairlead.dev/internal/regularfile"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/plugins/internal/remote"
	"fairlead.dev/plugins/internal/service"
	"fairlead.dev/plugins/internal/wire"
	"fairlead.dev/providers"
)

// sidecarPrefix begins the schemes of sidecars: plugins that the host does not
// start.
const sidecarPrefix = "sidecar+"

// ReattachEnv is the environment variable with the addresses of plugins that run
// in a debugger: a JSON object of plugin names and addresses, for example
// {"redis":"unix:///run/user/1000/redis.sock"}.
const ReattachEnv = "FAIRLEAD_REATTACH"

// warnAfter is how long a provider waits for a sidecar before it logs a warning.
const warnAfter = 5 * time.Second

func init() {
	providers.Register(providers.Scheme{
		Name: sidecarPrefix + "unix",
		Help: "a plugin that listens on a Unix socket: sidecar+unix:///run/fairlead/redis.sock",
		Settings: []providers.Setting{{
			Name: "transport", Kind: providers.Enum, Default: string(Frames), Values: []string{string(Frames), string(Stream)},
			Help: "transport for calls: frames on a Unix socket of their own, or a gRPC stream",
		}},
		Open: openUnixSidecar,
	})
	providers.Register(providers.Scheme{
		Name: sidecarPrefix + "tcp",
		Help: "a plugin that listens on a TCP port: sidecar+tcp://host:port?ca-file=FILE&cert-file=FILE&key-file=FILE",
		Settings: []providers.Setting{
			{Name: "ca-file", Kind: providers.File, Help: "PEM file with the authorities of the plugin's certificate; by default the system's"},
			{Name: "cert-file", Kind: providers.File, Help: "PEM file with this host's certificate"},
			{Name: "key-file", Kind: providers.File, Help: "PEM file with the certificate's key"},
			{Name: "server-name", Kind: providers.String, Help: "name in the plugin's certificate; by default the host in the URL"},
		},
		Open: openTCPSidecar,
	})
}

// sidecarTarget says how to reach a plugin that the host has not started.
type sidecarTarget struct {
	path    string // of a Unix socket, or empty
	address string // host and port otherwise
	tls     *tls.Config
	sockets bool
}

func openUnixSidecar(ctx context.Context, s providers.Settings) (fairlead.Provider, error) {
	path, err := unixPath(s.URL)
	if err != nil {
		return nil, err
	}
	at := &sidecarTarget{path: path, sockets: Transport(s.String("transport")) == Frames}
	return at.openProvider(ctx, s)
}

func openTCPSidecar(ctx context.Context, s providers.Settings) (fairlead.Provider, error) {
	address, err := tcpAddress(s.URL)
	if err != nil {
		return nil, err
	}
	conf, err := clientTLS(s)
	if err != nil {
		return nil, err
	}
	at := &sidecarTarget{address: address, tls: conf}
	return at.openProvider(ctx, s)
}

// openProvider opens the backend that the sidecar was started for.
func (at *sidecarTarget) openProvider(ctx context.Context, s providers.Settings) (fairlead.Provider, error) {
	p, err := at.connect(ctx, func() *pluginpb.OpenRequest { return &pluginpb.OpenRequest{} }, s.Logger)
	if err != nil {
		return nil, err // not p: a nil *provider is not a nil Provider
	}
	return p, nil
}

// maxSocketPath is the maximum length of a Unix socket's path, in bytes.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

func unixPath(u *url.URL) (string, error) {
	switch {
	case u.Host != "" || !strings.HasPrefix(u.Path, "/") || u.Path == "/" || u.User != nil || strings.Contains(u.Path, "\x00"):
		return "", fairlead.Errorf(fairlead.Invalid, "the URL must have the absolute path of a socket, after three slashes: unix:///run/fairlead/redis.sock")
	case len(u.Path) > maxSocketPath:
		return "", fairlead.Errorf(fairlead.Invalid, "the path of the socket has %d bytes; at most %d are possible: use a shorter path", len(u.Path), maxSocketPath)
	}
	return u.Path, nil
}

func tcpAddress(u *url.URL) (string, error) {
	if u.Hostname() == "" || u.Port() == "" || (u.Path != "" && u.Path != "/") || u.User != nil {
		return "", fairlead.Errorf(fairlead.Invalid, "the URL must have a host and a port, and nothing else: tcp://host:port")
	}
	return u.Host, nil
}

// clientTLS returns the TLS configuration of a host. It is nil for a connection
// without TLS, which is only possible to a loopback address.
func clientTLS(s providers.Settings) (*tls.Config, error) {
	given := s.Given("ca-file") || s.Given("server-name")
	switch {
	case s.Given("cert-file") != s.Given("key-file"):
		return nil, fairlead.Errorf(fairlead.Invalid, "the settings \"cert-file\" and \"key-file\" must be given together")
	case !given && !s.Given("cert-file") && isLoopback(s.URL.Hostname()):
		return nil, nil
	case !s.Given("cert-file"):
		return nil, fairlead.Errorf(fairlead.Invalid, "the settings \"cert-file\" and \"key-file\" are missing: over TCP, host and plugin authenticate each other with certificates, unless the plugin has a loopback address")
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: s.String("server-name")}
	cert, key := s.String("cert-file"), s.String("key-file")
	if _, err := regularfile.ReadKeyPair(cert, key); err != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "the settings \"cert-file\" and \"key-file\": %w", err)
	}
	// The files are read again for each connection: certificates are renewed.
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := regularfile.ReadKeyPair(cert, key)
		return &pair, err
	}
	if s.Given("ca-file") {
		pool, err := readPool(s.String("ca-file"))
		if err != nil {
			return nil, fairlead.Errorf(fairlead.Invalid, "the setting \"ca-file\": %w", err)
		}
		conf.RootCAs = pool
	}
	return conf, nil
}

func readPool(file string) (*x509.CertPool, error) {
	pem, err := regularfile.Read(file, regularfile.MaxCredential)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate in PEM format", file)
	}
	return pool, nil
}

func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// connect opens a backend. It waits for the plugin until the context ends. Once
// open, the provider reconnects to a plugin that is gone until it is closed.
func (at *sidecarTarget) connect(ctx context.Context, req func() *pluginpb.OpenRequest, log *slog.Logger) (*provider, error) {
	failure := &dialFailure{}
	conn, err := at.newClient(failure)
	if err != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "%w", err)
	}
	waiting := waitingConn{conn, at.path + at.address, failure}
	open := func(ctx context.Context) (*remote.Session, error) {
		late := time.AfterFunc(warnAfter, func() { log.Warn("still waiting for a plugin", "address", waiting.address) })
		defer late.Stop()
		for pause := minPause; ; pause = min(2*pause, maxPause) {
			s, err := remote.Dial(ctx, waiting, req(), at.sockets)
			// If the connection broke during the call, the error does not come
			// from the backend.
			if err == nil || fairlead.CodeOf(err) != fairlead.Unavailable || conn.GetState() == connectivity.Ready || ctx.Err() != nil {
				return s, err
			}
			if !await.Pause(ctx, pause/2+rand.N(pause)) {
				return nil, fairlead.Errorf(fairlead.CodeOf(ctx.Err()), "waiting for the plugin at %s: %w", waiting.address, err)
			}
		}
	}
	return newProvider(ctx, open, log, func(context.Context) { _ = conn.Close() })
}

// The pauses after a connection that broke while a backend was opened.
const (
	minPause = 50 * time.Millisecond
	maxPause = time.Second
)

// newClient returns a client of the plugin, which connects when it is used.
func (at *sidecarTarget) newClient(failure *dialFailure) (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if at.tls != nil {
		creds = credentials.NewTLS(at.tls)
	}
	target, opts := "dns:///"+at.address, append(remote.DialOptions(),
		grpc.WithTransportCredentials(creds),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: minPause, Multiplier: 1.6, Jitter: 0.3, MaxDelay: maxPause},
			MinConnectTimeout: 5 * time.Second,
		}))
	if at.path != "" {
		target, opts = "passthrough:///"+at.path, append(opts, grpc.WithAuthority("localhost"),
			grpc.WithContextDialer(func(ctx context.Context, path string) (net.Conn, error) { return dialOwn(ctx, path, failure) }))
	}
	return grpc.NewClient(target, opts...)
}

// dialOwn connects to a Unix socket on which a process of this user listens. It
// reports an error that another attempt will not remove.
func dialOwn(ctx context.Context, path string, failure *dialFailure) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		failure.report(finalDialError(path, err))
		return nil, err
	}
	err = wire.SameUser(conn.(*net.UnixConn))
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		conn.Close()
		err = fairlead.Errorf(fairlead.PermissionDenied, "the socket %s is refused: %w", path, err)
		failure.report(err)
		return nil, err
	}
	return conn, nil
}

// finalDialError returns nil for an error that ends when the plugin starts.
func finalDialError(path string, err error) error {
	info, statErr := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fairlead.Errorf(fairlead.PermissionDenied, "%w; host and plugin must run as the same user", err)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ELOOP):
		return fairlead.Errorf(fairlead.Invalid, "%w", err)
	case statErr == nil && info.Mode()&fs.ModeSocket == 0:
		return fairlead.Errorf(fairlead.Invalid, "%s is not a socket", path)
	default:
		return nil
	}
}

// dialFailure passes the final error of an attempt to connect to the call that
// waits for the connection.
type dialFailure struct {
	mu  sync.Mutex
	end context.CancelCauseFunc // of the call; nil if none waits
}

func (f *dialFailure) report(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil && f.end != nil {
		f.end(err)
	}
}

func (f *dialFailure) setWaiting(end context.CancelCauseFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end = end
}

// waitingConn is a connection on which Open waits until the plugin can be reached.
type waitingConn struct {
	*grpc.ClientConn
	address string
	failure *dialFailure
}

// Invoke implements [grpc.ClientConnInterface].
func (c waitingConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if method != pluginpb.PluginService_Open_FullMethodName {
		return c.ClientConn.Invoke(ctx, method, args, reply, opts...)
	}
	waitCtx, end := context.WithCancelCause(ctx)
	defer end(nil)
	c.failure.setWaiting(end)
	defer c.failure.setWaiting(nil)
	err := c.ClientConn.Invoke(waitCtx, method, args, reply, append(opts[:len(opts):len(opts)], grpc.WaitForReady(true))...)
	var final *fairlead.Error
	switch {
	case err == nil:
		return nil
	case errors.As(context.Cause(waitCtx), &final):
		return service.StatusError(final)
	case ctx.Err() == nil:
		return err
	}
	// gRPC's message says why there is no connection.
	return service.StatusError(fairlead.Errorf(fairlead.CodeOf(ctx.Err()), "waiting for the plugin at %s: %s", c.address, status.Convert(err).Message()))
}

// reattach returns how to reach a plugin that runs in a debugger. It returns nil if
// the host has to start the plugin itself.
func reattach(plugin string) (*sidecarTarget, error) {
	text := os.Getenv(ReattachEnv)
	if text == "" {
		return nil, nil
	}
	var all map[string]string
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "the environment variable %s is not a JSON object of plugin names and addresses, for example {\"redis\":\"unix:///run/user/1000/redis.sock\"}: %w", ReattachEnv, err)
	}
	addr, ok := all[plugin]
	if !ok {
		return nil, nil
	}
	at, err := parseReattach(addr)
	if err != nil {
		return nil, fairlead.Errorf(fairlead.Invalid, "the environment variable %s has the address %q for %q: %w", ReattachEnv, addr, plugin, err)
	}
	return at, nil
}

func parseReattach(addr string) (*sidecarTarget, error) {
	u, err := url.Parse(addr)
	if err != nil {
		return nil, err
	}
	at := &sidecarTarget{}
	switch {
	case u.Scheme == "unix":
		at.sockets = true
		at.path, err = unixPath(u)
	case u.Scheme == "tcp" && isLoopback(u.Hostname()):
		at.address, err = tcpAddress(u)
	default:
		err = fmt.Errorf("accepted: unix:///path, tcp://127.0.0.1:port")
	}
	return at, err
}
