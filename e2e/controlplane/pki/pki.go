// Package pki makes the keys and certificates that a control plane's components share.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority signs certificates and writes them into a folder.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Write writes ca.crt, apiserver.crt, apiserver.key, kubelet-client.crt, kubelet-client.key (the API server towards
// kubelets) and sa.key (the ServiceAccount signing key) into one folder. The serving certificate is valid for loopback,
// the in-cluster names, and the given extra addresses and names.
func Write(args []string) error {
	if len(args) < 1 {
		return errors.New("usage: pki DIR [IP|NAME...]")
	}
	ca, err := newAuthority(args[0])
	if err != nil {
		return err
	}
	saKey, err := newKey()
	if err != nil {
		return err
	}
	return errors.Join(
		ca.issue("apiserver", serving(args[1:])),
		ca.issue("kubelet-client", kubeletClient()),
		writeKey(ca.dir, "sa.key", saKey),
	)
}

func newAuthority(dir string) (*authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	cert := template("rollcall-e2e-ca")
	cert.IsCA, cert.BasicConstraintsValid, cert.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &authority{dir, cert, key}, writePEM(dir, "ca.crt", "CERTIFICATE", der)
}

// issue writes NAME.crt and NAME.key.
func (ca *authority) issue(name string, cert *x509.Certificate) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, ca.cert, key.Public(), ca.key)
	if err != nil {
		return err
	}
	return errors.Join(writePEM(ca.dir, name+".crt", "CERTIFICATE", der), writeKey(ca.dir, name+".key", key))
}

func serving(extra []string) *x509.Certificate {
	cert := template("kube-apiserver")
	cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	cert.IPAddresses = []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP("::1"), net.ParseIP("10.96.0.1")}
	cert.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	for _, arg := range extra {
		if ip := net.ParseIP(arg); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, arg)
		}
	}
	return cert
}

// kubeletClient is whom a kubelet asks the API server about before it shows logs: the API server itself.
func kubeletClient() *x509.Certificate {
	cert := template("kube-apiserver-kubelet-client")
	cert.Subject.Organization = []string{"system:masters"}
	cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return cert
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(30 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func writeKey(dir, name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(dir, name, "EC PRIVATE KEY", der)
}

func writePEM(dir, name, kind string, der []byte) error {
	return os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
