package rpc

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"fairlead.dev"
	"fairlead.dev/rpc/driver"
)

// directConfig is what holds for providers that are directories alone.
type directConfig struct {
	tls           *tls.Config
	address       string // to listen at
	advertise     string // what clients dial
	serviceConfig map[string]json.RawMessage
	given         []string // names of the options
}

// refuse returns an error if there are options that a carrier cannot heed: to
// ignore them would be worse.
func (c directConfig) refuse() error {
	if len(c.given) == 0 {
		return nil
	}
	return fairlead.Errorf(fairlead.Unsupported,
		"%s: this provider carries calls over its own connection to the backend; leave the option out, or use a provider that claims %s",
		strings.Join(c.given, ", "), Directory)
}

type directOption struct {
	name string
	set  func(*directConfig) error
}

func (o directOption) dial(c *dialConfig) error     { return o.apply(&c.direct) }
func (o directOption) server(c *serverConfig) error { return o.apply(&c.direct) }

func (o directOption) apply(c *directConfig) error {
	c.given = append(c.given, o.name)
	return o.set(c)
}

// WithTLS makes the connections between clients and servers TLS. For mutual
// TLS the client's configuration has Certificates and RootCAs, and the
// server's Certificates, ClientCAs and ClientAuth. A client accepts a server
// whose certificate is valid for the configuration's ServerName, or else for
// the name of the service: what stands in the directory is an address, and no
// proof of who is there. Without this option connections are not encrypted.
//
// A provider that does not claim [Directory] carries calls over its own
// connection, whose TLS is set in its URL: there the option is Unsupported.
func WithTLS(c *tls.Config) Option {
	return directOption{"WithTLS", func(d *directConfig) error {
		if c == nil {
			return fairlead.Errorf(fairlead.Invalid, "WithTLS needs a configuration, got nil; leave the option out for connections without TLS")
		}
		d.tls = c.Clone()
		return nil
	}}
}

// WithServiceConfig sets the service config of the connection, as gRPC
// defines it, in JSON: retry and hedging policies, time limits of methods, the
// load balancing. What it leaves out is round_robin and the health of the
// whole server, which those servers tell that have gRPC's health service.
//
// It is Unsupported with a provider that does not claim [Directory].
func WithServiceConfig(text string) DialOption {
	return directOption{"WithServiceConfig", func(d *directConfig) error {
		if err := json.Unmarshal([]byte(text), &d.serviceConfig); err != nil {
			return fairlead.Errorf(fairlead.Invalid, "WithServiceConfig: the text is not a JSON object: %v", err)
		}
		return nil
	}}
}

// ListenAt sets where the server listens: host:port, or the absolute path of a
// Unix socket after "unix:". The default is 127.0.0.1:0, a free port that this
// machine alone reaches.
//
// It is Unsupported with a provider that does not claim [Directory].
func ListenAt(address string) ServerOption {
	return directOption{"ListenAt", func(d *directConfig) error {
		d.address = address
		return checkAddress("ListenAt", address)
	}}
}

// Advertise sets the address that clients are told, in the form of
// [ListenAt]; it is where the server listens if the option is left out. A port
// of 0 stands for the one that the server listens at.
//
// It is Unsupported with a provider that does not claim [Directory].
func Advertise(address string) ServerOption {
	return directOption{"Advertise", func(d *directConfig) error {
		d.advertise = address
		return checkAddress("Advertise", address)
	}}
}

func checkAddress(option, address string) error {
	path, unix := strings.CutPrefix(address, unixPrefix)
	_, _, err := net.SplitHostPort(address)
	if len(address) <= driver.MaxAddress && (unix && strings.HasPrefix(path, "/") || !unix && err == nil) {
		return nil
	}
	return fairlead.Errorf(fairlead.Invalid,
		"%s: the address %.100q is neither host:port nor unix:/PATH, of at most %d bytes", option, address, driver.MaxAddress)
}

// grpcServiceConfig is the service config with its defaults.
func (c directConfig) grpcServiceConfig() (string, error) {
	config := map[string]json.RawMessage{
		"loadBalancingConfig": json.RawMessage(`[{"round_robin":{}}]`),
		"healthCheckConfig":   json.RawMessage(`{"serviceName":""}`),
	}
	for name, value := range c.serviceConfig {
		config[name] = value
	}
	text, err := json.Marshal(config)
	return string(text), err
}

func (c directConfig) credentials() credentials.TransportCredentials {
	if c.tls == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(c.tls)
}

// at is where a server listens.
func (c directConfig) at() string {
	if c.address == "" {
		return "127.0.0.1:0"
	}
	return c.address
}
