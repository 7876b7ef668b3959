package rpc

import (
	"crypto/tls"
	"strings"

	"fairlead.dev"
	"fairlead.dev/rpc/internal/directory"
)

// directoryOptions are the given options that only a directory takes.
type directoryOptions struct {
	directory.Options
	names []string // of the given options
}

// refuse returns an Unsupported error if such options are given, for a provider
// that carries calls: an option must not be ignored.
func (o directoryOptions) refuse() error {
	if len(o.names) == 0 {
		return nil
	}
	return fairlead.Errorf(fairlead.Unsupported,
		"%s: this provider carries calls over its own connection to the backend; leave the option out, or use a provider that claims %s",
		strings.Join(o.names, ", "), Directory)
}

// directoryOption is an option that only a directory takes.
type directoryOption struct {
	name string
	set  func(*directory.Options) error
}

func (o directoryOption) applyToDial(c *dialConfig) error     { return o.apply(&c.directory) }
func (o directoryOption) applyToServer(c *serverConfig) error { return o.apply(&c.directory) }

func (o directoryOption) apply(to *directoryOptions) error {
	to.names = append(to.names, o.name)
	return o.set(&to.Options)
}

// WithTLS makes the connections between clients and servers TLS. For mutual TLS,
// set Certificates and RootCAs in the client's configuration, and Certificates,
// ClientCAs and ClientAuth in the server's. A client accepts a server whose
// certificate is valid for the configuration's ServerName, or for the service
// name if there is no ServerName: an address in the directory does not prove who
// listens there. Without this option connections are not encrypted. The
// configuration is copied.
//
// The option is Unsupported with a provider that does not claim [Directory].
// Such a provider carries calls over its own connection, whose TLS its URL sets.
func WithTLS(c *tls.Config) Option {
	return directoryOption{"WithTLS", func(o *directory.Options) error { return o.SetTLS(c) }}
}

// WithServiceConfig sets the service config of the connection, as gRPC defines
// it, in JSON: retry and hedging policies, time limits of methods, load
// balancing. The defaults are round_robin, and a check of the health of the
// whole server, for servers that have gRPC's health service.
//
// The option is Unsupported with a provider that does not claim [Directory].
func WithServiceConfig(text string) DialOption {
	return directoryOption{"WithServiceConfig", func(o *directory.Options) error { return o.SetServiceConfig(text) }}
}

// ListenAt sets where the server listens: host:port, or "unix:" and the absolute
// path of a Unix socket. The default is 127.0.0.1:0, a free port that only this
// machine reaches.
//
// The option is Unsupported with a provider that does not claim [Directory].
func ListenAt(address string) ServerOption {
	return directoryOption{"ListenAt", func(o *directory.Options) error { return o.SetListenAddress(address) }}
}

// Advertise sets the address that clients dial, in the form of [ListenAt]. The
// default is the address where the server listens. Port 0 stands for the port
// where the server listens.
//
// The option is Unsupported with a provider that does not claim [Directory].
func Advertise(address string) ServerOption {
	return directoryOption{"Advertise", func(o *directory.Options) error { return o.SetAdvertisedAddress(address) }}
}
