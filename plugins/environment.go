package plugins

import "os"

// commonVariables are the variables of the host's environment that every plugin
// gets. A program needs them to find its own files (HOME), to format times and
// texts as the host does (TZ, LANG, LC_ALL), and to find the certificate
// authorities that the host trusts (SSL_CERT_FILE, SSL_CERT_DIR). PATH is not
// among them: a plugin that runs other programs names it in its manifest.
var commonVariables = []string{"HOME", "TZ", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// pluginEnvironment returns the common variables and the ones that a manifest
// allows.
func pluginEnvironment(allowed []string) []string {
	var env []string
	for _, names := range [][]string{commonVariables, allowed} {
		for _, n := range names {
			if v, ok := os.LookupEnv(n); ok {
				env = append(env, n+"="+v)
			}
		}
	}
	return env
}
