package directory

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

// Options are the options that only a directory takes. The zero value is valid.
// Each setter returns an Invalid error, which names the option of package rpc.
type Options struct {
	tls              *tls.Config
	listenAddress    string
	advertiseAddress string
	serviceConfig    map[string]json.RawMessage
}

// SetTLS sets the TLS configuration of the connections.
func (o *Options) SetTLS(c *tls.Config) error {
	if c == nil {
		return fairlead.Errorf(fairlead.Invalid, "WithTLS needs a configuration, got nil; leave the option out for connections without TLS")
	}
	o.tls = c.Clone()
	return nil
}

// SetServiceConfig sets gRPC's service config, a JSON object.
func (o *Options) SetServiceConfig(text string) error {
	if err := json.Unmarshal([]byte(text), &o.serviceConfig); err != nil {
		return fairlead.Errorf(fairlead.Invalid, "WithServiceConfig: the text is not a JSON object: %v", err)
	}
	return nil
}

// SetListenAddress sets the address where a server listens.
func (o *Options) SetListenAddress(address string) error {
	o.listenAddress = address
	return checkAddress("ListenAt", address)
}

// SetAdvertisedAddress sets the address that clients dial.
func (o *Options) SetAdvertisedAddress(address string) error {
	o.advertiseAddress = address
	return checkAddress("Advertise", address)
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

// serviceConfigJSON returns the service config with its defaults.
func (o Options) serviceConfigJSON() (string, error) {
	config := map[string]json.RawMessage{
		"loadBalancingConfig": json.RawMessage(`[{"round_robin":{}}]`),
		"healthCheckConfig":   json.RawMessage(`{"serviceName":""}`),
	}
	for name, value := range o.serviceConfig {
		config[name] = value
	}
	text, err := json.Marshal(config)
	return string(text), err
}

func (o Options) credentials() credentials.TransportCredentials {
	if o.tls == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(o.tls)
}

// listenAddressOrDefault returns the address where a server listens.
func (o Options) listenAddressOrDefault() string {
	if o.listenAddress == "" {
		return "127.0.0.1:0"
	}
	return o.listenAddress
}
