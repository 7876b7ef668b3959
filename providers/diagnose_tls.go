package providers

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

const (
	// certificateWarning is how long before its end a certificate is warned of.
	certificateWarning = 14 * 24 * time.Hour
	// alertPatience is how long a server may take to refuse a client without a
	// certificate: with TLS 1.3 it does so after the handshake.
	alertPatience = 500 * time.Millisecond
)

// handshake begins TLS on a connection, and checks the server's certificate by itself
// in order to name all its faults.
func (d *diagnosis) handshake(ctx context.Context, conn net.Conn, host string) Finding {
	conf := d.inspection.TLS.Clone()
	if conf.ServerName == "" {
		conf.ServerName, _, _ = net.SplitHostPort(host)
	}
	var asked bool // for a certificate of the client
	certificates := conf.Certificates
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		if len(certificates) == 0 {
			return new(tls.Certificate), nil
		}
		return &certificates[0], nil
	}
	verify := !conf.InsecureSkipVerify
	conf.InsecureSkipVerify = true
	secure := tls.Client(conn, conf)
	err := secure.HandshakeContext(ctx)
	if err == nil && asked {
		err = awaitAlert(secure)
	}
	if err != nil {
		return d.handshakeProblem(err, len(certificates) > 0)
	}
	return certificateFinding(secure.ConnectionState(), conf, verify, time.Now())
}

// awaitAlert returns the alert by which a server refuses the client's certificate.
func awaitAlert(conn *tls.Conn) error {
	_ = conn.SetReadDeadline(time.Now().Add(alertPatience))
	_, err := conn.Read(make([]byte, 1))
	var silent net.Error
	if errors.As(err, &silent) && silent.Timeout() {
		return nil
	}
	return err
}

func (d *diagnosis) handshakeProblem(err error, hasCertificate bool) Finding {
	var record tls.RecordHeaderError
	var op *net.OpError
	f := Finding{Status: CheckProblem, Seen: "the handshake failed: " + err.Error()}
	switch {
	case errors.As(err, &record), errors.Is(err, io.EOF):
		f.Seen = "a plain port met with TLS: the URL demands TLS, and the server does not speak it on this port (" + err.Error() + ")"
		f.Fix = cmp.Or(d.inspection.DemandPlain, "leave out the settings that demand TLS") + ", or the server's port for TLS"
	case errors.As(err, &op) && op.Op == "remote error" && hasCertificate:
		f.Fix = "use a client certificate that the server's authority has signed: \"cert-file\" and \"key-file\""
	case errors.As(err, &op) && op.Op == "remote error":
		f.Fix = "the server may demand a client certificate: set \"cert-file\" and \"key-file\""
	default:
		f.Fix = "see that the server offers TLS 1.2 or newer, and read its log"
	}
	return f
}

// certificateFinding says what is wrong with the certificate of a connection, and how
// long it is valid. c names the host and the authorities.
func certificateFinding(st tls.ConnectionState, c *tls.Config, verify bool, now time.Time) Finding {
	leaf := st.PeerCertificates[0]
	days := int(leaf.NotAfter.Sub(now).Hours() / 24)
	valid := fmt.Sprintf("%s; the certificate of %s ends in %d days", tls.VersionName(st.Version), certificateNames(leaf), days)
	if !verify {
		return Finding{Status: CheckWarning, Seen: valid + "; it is not verified (insecure-skip-verify)", Fix: "set \"ca-file\" instead of \"insecure-skip-verify\""}
	}
	if faults, fixes := certificateFaults(st.PeerCertificates, c, now); len(faults) > 0 {
		return Finding{Status: CheckProblem, Seen: strings.Join(faults, "; also "), Fix: strings.Join(fixes, "; also ")}
	}
	if leaf.NotAfter.Sub(now) < certificateWarning {
		return Finding{Status: CheckWarning, Seen: valid, Fix: "renew the server's certificate"}
	}
	return Finding{Status: CheckOK, Seen: valid}
}

func certificateNames(leaf *x509.Certificate) string {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return cmp.Or(strings.Join(names, ", "), leaf.Subject.String())
}

func certificateFaults(chain []*x509.Certificate, c *tls.Config, now time.Time) (faults, fixes []string) {
	leaf := chain[0]
	add := func(fault, fix string) { faults, fixes = append(faults, fault), append(fixes, fix) }
	const day = "2006-01-02"
	switch {
	case now.After(leaf.NotAfter):
		add("the certificate expired on "+leaf.NotAfter.Format(day), "renew the server's certificate, or correct this machine's clock")
	case now.Before(leaf.NotBefore):
		add("the certificate is valid only from "+leaf.NotBefore.Format(day)+" on", "correct the clock of this machine, or the certificate")
	}
	if leaf.VerifyHostname(c.ServerName) != nil {
		add(fmt.Sprintf("the certificate is for %s, not for %s", certificateNames(leaf), c.ServerName),
			"name the host as in the certificate, or set \"server-name\" to one of its names")
	}
	if err := verifyAuthority(chain, c); err != nil {
		add(fmt.Sprintf("no known authority has signed the certificate, whose issuer is %s: %v", leaf.Issuer, err),
			"set \"ca-file\" to the PEM file of the authority that has signed it")
	}
	return faults, fixes
}

// verifyAuthority verifies who signed a chain, at a time when its leaf is valid.
func verifyAuthority(chain []*x509.Certificate, c *tls.Config) error {
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	half := chain[0].NotAfter.Sub(chain[0].NotBefore) / 2
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: c.RootCAs, Intermediates: between, CurrentTime: chain[0].NotBefore.Add(half)})
	return err
}
