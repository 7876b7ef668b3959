package plugins

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"fairlead.dev"
	"fairlead.dev/internal/regularfile"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	"fairlead.dev/plugins/internal/service"
	"fairlead.dev/plugins/internal/wire"
	"fairlead.dev/providers"
)

const (
	// A host sends a keep-alive ping after keepaliveTime of silence. It considers
	// the connection broken after keepaliveTimeout without an acknowledgement.
	keepaliveTime    = 10 * time.Second
	keepaliveTimeout = 5 * time.Second
	// checkTimeout bounds --check.
	checkTimeout = 4 * time.Second
	// framesExt is added to the path of a sidecar's socket to get the path of its
	// frame socket.
	framesExt = ".frames"
)

// sidecarArguments are the arguments of a sidecar.
type sidecarArguments struct {
	listen, url, urlFile string
	cert, key, clientCA  string
}

// validate checks the arguments, and finds the URL.
func (a *sidecarArguments) validate() error {
	if err := a.findURL(); err != nil {
		return err
	}
	u, err := url.Parse(a.listen)
	if err != nil {
		return errors.New("--listen: the address is not a URL; accepted: unix:///path, tcp://host:port")
	}
	switch u.Scheme {
	case "unix":
		if a.cert != "" || a.key != "" || a.clientCA != "" {
			return errors.New("--tls-cert, --tls-key and --tls-client-ca require a tcp:// address; the file mode controls access to a Unix socket")
		}
		_, err = unixPath(u)
	case "tcp":
		if _, err = tcpAddress(u); err == nil {
			err = a.validateTCP(u)
		}
	default:
		err = fmt.Errorf("the address %q has no known scheme; accepted: unix:///path, tcp://host:port", a.listen)
	}
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	return nil
}

func (a *sidecarArguments) validateTCP(u *url.URL) error {
	given := 0
	for _, f := range []string{a.cert, a.key, a.clientCA} {
		if f != "" {
			given++
		}
	}
	switch {
	case given < 3 && (given > 0 || !isLoopback(u.Hostname())):
		return errors.New("--tls-cert, --tls-key and --tls-client-ca must be given together; they are required unless the address is a loopback address")
	case a.url == "": // otherwise a client would name files that this process reads
		return fmt.Errorf("the backend's URL is missing: over TCP a sidecar serves one backend; set --url-file, --url or the environment variable %s", URLEnv)
	case given == 0:
		return nil
	}
	_, err := a.serverTLS()
	return err
}

// findURL takes the URL from the flags or the environment, and checks it.
func (a *sidecarArguments) findURL() error {
	fromEnv := os.Getenv(URLEnv)
	switch {
	case a.url != "" && a.urlFile != "":
		return errors.New("--url and --url-file exclude each other; use one of them")
	case a.urlFile != "":
		b, err := regularfile.Read(a.urlFile, regularfile.MaxCredential)
		if err != nil {
			return fmt.Errorf("--url-file: %w", err)
		}
		if a.url = strings.TrimSpace(string(b)); a.url == "" {
			return fmt.Errorf("--url-file: %s is empty", a.urlFile)
		}
	case a.url == "":
		a.url = fromEnv
	}
	if a.url == "" {
		return nil
	}
	return checkURL(a.url)
}

// checkURL reports mistakes in the URL at the start, before a host opens it.
func checkURL(rawURL string) error {
	name, _, _ := strings.Cut(rawURL, "://")
	var names []string
	for _, s := range providers.Schemes() {
		if s.Name == strings.ToLower(name) {
			_, err := s.Parse(rawURL)
			return err
		}
		if !strings.HasPrefix(s.Name, sidecarPrefix) {
			names = append(names, s.Name)
		}
	}
	return fmt.Errorf("this plugin does not offer the URL's scheme; offered: %s", strings.Join(names, ", "))
}

// serverTLS reads the certificate files, so that mistakes are found at the start.
// The files are read again for each connection: certificates are renewed.
func (a *sidecarArguments) serverTLS() (*tls.Config, error) {
	pair, err := regularfile.ReadKeyPair(a.cert, a.key)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	pool, err := readPool(a.clientCA)
	if err != nil {
		return nil, fmt.Errorf("--tls-client-ca: %w", err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		MinVersion:   tls.VersionTLS13,
		NextProtos:   []string{"h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return a.serverTLS()
		},
	}, nil
}

// credentials returns the credentials of the server.
func (a *sidecarArguments) credentials() (credentials.TransportCredentials, error) {
	if a.cert == "" {
		return insecure.NewCredentials(), nil
	}
	conf, err := a.serverTLS()
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(conf), nil
}

// serveSidecar serves until the process gets a signal to end.
func serveSidecar(name string, a sidecarArguments) error {
	log := newLog(name)
	creds, err := a.credentials()
	if err != nil {
		return err
	}
	listener, frames, err := listenAt(a.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	s := service.New(service.Config{Open: a.open(log), Log: log})
	if frames != "" {
		if err := s.ListenFrames(frames); err != nil {
			log.Warn("cannot listen on the frame socket; calls use the gRPC stream", "error", err)
		}
	}
	server := newSidecarServer(creds, s, log)
	log.Info("the plugin listens", "address", a.listen)
	return server.Serve(listener)
}

// newSidecarServer returns a server that stops on SIGTERM or an interrupt.
func newSidecarServer(creds credentials.TransportCredentials, s *service.Service, log *slog.Logger) *grpc.Server {
	server := grpc.NewServer(append(service.ServerOptions(), grpc.Creds(creds),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveTime / 2, PermitWithoutStream: true}))...)
	pluginpb.RegisterPluginServiceServer(server, s)
	status := health.NewServer()
	grpc_health_v1.RegisterHealthServer(server, status)
	onSignal([]os.Signal{syscall.SIGTERM, os.Interrupt}, func() {
		log.Info("the plugin is ending")
		status.Shutdown()
		closeSessions(s, log)
		server.Stop()
	})
	return server
}

// open returns a function that opens the backend that the sidecar serves. A sidecar
// that was started without a URL opens the URLs that hosts send.
func (a *sidecarArguments) open(log *slog.Logger) func(context.Context, string, map[string]string) (fairlead.Provider, error) {
	open := hostOpener(log)
	return func(ctx context.Context, asked string, env map[string]string) (fairlead.Provider, error) {
		switch {
		case a.url == "" && asked == "":
			return nil, fairlead.Errorf(fairlead.Invalid, "the sidecar was started without a URL; start it with --url-file, --url or the environment variable %s", URLEnv)
		case a.url == "":
			return open(ctx, asked, env)
		case asked != "" && asked != a.url:
			return nil, fairlead.Errorf(fairlead.PermissionDenied, "the sidecar serves only the backend that it was started for")
		}
		return fairlead.Open(ctx, a.url, fairlead.WithLogger(log))
	}
}

// listenAt returns a listener, and the path for the frame socket. The path is empty
// if there is no frame socket.
func listenAt(address string) (l net.Listener, frames string, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, "", err
	}
	if u.Scheme == "tcp" {
		l, err = net.Listen("tcp", u.Host)
		return l, "", err
	}
	frames = u.Path + framesExt
	if err := errors.Join(removeStale(u.Path), removeStale(frames)); err != nil {
		return nil, "", err
	}
	if l, err = net.Listen("unix", u.Path); err != nil {
		return nil, "", err
	}
	if err := os.Chmod(u.Path, 0o600); err != nil {
		l.Close()
		return nil, "", err
	}
	return ownListener{l.(*net.UnixListener)}, frames, nil
}

// ownListener is a listener that refuses the processes of other users.
type ownListener struct{ *net.UnixListener }

// Accept implements net.Listener.
func (l ownListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		err = wire.SameUser(conn)
		if err == nil || errors.Is(err, errors.ErrUnsupported) {
			return conn, nil
		}
		slog.Warn("refused a connection", "address", l.Addr().String(), "error", err)
		conn.Close()
	}
}

// removeStale removes a socket that was left by a killed process.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is not a socket; choose another path, or remove the file", path)
	}
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return fmt.Errorf("another process is listening on %s; choose another path, or stop that process", path)
	}
	return os.Remove(path)
}

// checkSidecar makes a health check of a sidecar.
func checkSidecar(address string) error {
	at, err := parseReattach(address)
	if err != nil {
		return fmt.Errorf("--check: %w", err)
	}
	conn, err := at.newClient(&dialFailure{})
	if err != nil {
		return fmt.Errorf("--check: %w", err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	r, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err == nil && r.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		err = errors.New("the sidecar is " + r.Status.String())
	}
	return err
}
