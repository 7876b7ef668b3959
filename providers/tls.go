package providers

import (
	"crypto/tls"
	"crypto/x509"

	"fairlead.dev"
	"fairlead.dev/internal/regularfile"
)

// TLSSettings returns the settings from which [Settings.TLS] and
// [Settings.TLSConfig] read. scheme is the scheme whose URLs use TLS, for the help;
// empty if there is none.
func TLSSettings(scheme string) []Setting {
	only := ""
	if scheme != "" {
		only = " (" + scheme + " only)"
	}
	return []Setting{
		{Name: "ca-file", Kind: File, Help: "PEM file of the authorities that may sign the server's certificate; default: the authorities of the system" + only},
		{Name: "cert-file", Kind: File, Help: "PEM file of the client certificate, with key-file" + only},
		{Name: "key-file", Kind: File, Help: "PEM file of the client certificate's key, with cert-file" + only},
		{Name: "server-name", Kind: String, Help: "name that the server's certificate must have; default: the host" + only},
		{Name: "insecure-skip-verify", Kind: Bool, Default: "false", Help: "accept any certificate of the server: no protection against impersonation" + only},
	}
}

// TLS returns the configuration of the [TLSSettings] for a URL of the given scheme,
// and nil for every other URL. A URL of another scheme that has one of these
// settings is Invalid.
func (s Settings) TLS(scheme string) (*tls.Config, error) {
	if s.URL.Scheme == scheme {
		return s.TLSConfig()
	}
	if name := s.givenTLS(); name != "" {
		return nil, fairlead.Errorf(fairlead.Invalid, "setting %q requires TLS; write the URL with %s://", name, scheme)
	}
	return nil, nil
}

// givenTLS names one of the TLSSettings that the URL has, if there is one.
func (s Settings) givenTLS() string {
	for _, d := range TLSSettings("") {
		if s.Given(d.Name) {
			return d.Name
		}
	}
	return ""
}

// TLSGiven reports whether the URL has one of the [TLSSettings].
func (s Settings) TLSGiven() bool { return s.givenTLS() != "" }

// TLSConfig returns the configuration of the [TLSSettings].
func (s Settings) TLSConfig() (*tls.Config, error) {
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         s.String("server-name"),
		InsecureSkipVerify: s.Bool("insecure-skip-verify"),
	}
	if err := setAuthorities(c, s.String("ca-file")); err != nil {
		return nil, err
	}
	return c, setClientCertificate(c, s.String("cert-file"), s.String("key-file"))
}

func setAuthorities(c *tls.Config, file string) error {
	if file == "" {
		return nil
	}
	pem, err := readFile("ca-file", file)
	if err != nil {
		return err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return fairlead.Errorf(fairlead.Invalid, "setting \"ca-file\" names a file that holds no certificate in PEM form")
	}
	return nil
}

func setClientCertificate(c *tls.Config, certFile, keyFile string) error {
	if (certFile == "") != (keyFile == "") {
		return fairlead.Errorf(fairlead.Invalid, "\"cert-file\" and \"key-file\" belong together; one of them is missing")
	}
	if certFile == "" {
		return nil
	}
	pair, err := regularfile.ReadKeyPair(certFile, keyFile)
	if err != nil {
		return fairlead.Errorf(fairlead.Invalid, "\"cert-file\" and \"key-file\" cannot be used: %w", withoutPath(err))
	}
	c.Certificates = []tls.Certificate{pair}
	return nil
}
