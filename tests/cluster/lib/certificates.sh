# shellcheck shell=bash
# Keys, certificates and kubeconfigs, for the cluster and for the API tier alike. Writes only to the folder given.
# Each is made once and kept; a half-written one is made again.

certificate_authority() {
    local folder=$1 name=$2
    [[ ! -s $folder/$name.crt ]] || return 0
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=fairway-test-$name" \
        -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign,cRLSign \
        -keyout "$folder/$name.key" -out "$folder/$name.crt.new" 2>/dev/null
    mv "$folder/$name.crt.new" "$folder/$name.crt"
}

# certificate FOLDER AUTHORITY NAME SUBJECT [ALTERNATIVE_NAMES]: for clients, and for servers when names are given.
certificate() {
    local folder=$1 authority=$2 name=$3 subject=$4 names=${5:-}
    [[ ! -s $folder/$name.crt ]] || return 0
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$subject" \
        -keyout "$folder/$name.key" -out "$folder/$name.csr" 2>/dev/null
    {
        echo "basicConstraints=critical,CA:false"
        echo "keyUsage=critical,digitalSignature"
        echo "extendedKeyUsage=clientAuth${names:+,serverAuth}"
        [[ -z $names ]] || echo "subjectAltName=$names"
    } >"$folder/$name.extensions"
    # A random serial number: a serial file would be shared by runs side by side.
    openssl x509 -req -in "$folder/$name.csr" -CA "$folder/$authority.crt" -CAkey "$folder/$authority.key" -days 3650 \
        -set_serial "0x$(openssl rand -hex 16)" -extfile "$folder/$name.extensions" -out "$folder/$name.crt.new" 2>/dev/null
    mv "$folder/$name.crt.new" "$folder/$name.crt"
    rm -f "$folder/$name.csr" "$folder/$name.extensions"
}

# The pair that signs ServiceAccount tokens.
certificate_service_accounts() {
    local folder=$1
    [[ ! -s $folder/service-accounts.pub ]] || return 0
    openssl ecparam -name prime256v1 -genkey -noout -out "$folder/service-accounts.key"
    openssl ec -in "$folder/service-accounts.key" -pubout -out "$folder/service-accounts.pub.new" 2>/dev/null
    mv "$folder/service-accounts.pub.new" "$folder/service-accounts.pub"
}

# kubeconfig FOLDER NAME SERVER FILE: certificates embedded, so that the file can be copied.
kubeconfig() {
    local folder=$1 name=$2 server=$3 file=$4
    (
        umask 077
        cat >"$file.new" <<YAML
apiVersion: v1
kind: Config
current-context: fairway-test
clusters:
- name: fairway-test
  cluster: {server: "$server", certificate-authority-data: $(base64 -w0 "$folder/authority.crt")}
users:
- name: $name
  user: {client-certificate-data: $(base64 -w0 "$folder/$name.crt"), client-key-data: $(base64 -w0 "$folder/$name.key")}
contexts:
- name: fairway-test
  context: {cluster: fairway-test, user: $name}
YAML
        mv "$file.new" "$file"
    )
}

# What every API server needs, of the cluster or of the API tier: ALTERNATIVE_NAMES are those it is reached by.
certificates_api_server() {
    local folder=$1 names=$2
    certificate_authority "$folder" authority
    # Aggregated API servers trust this one alone to say who the user is; hence not the clients' authority.
    certificate_authority "$folder" front-proxy-authority
    certificate_service_accounts "$folder"
    certificate "$folder" authority api-server /CN=kube-apiserver "$names"
    certificate "$folder" authority api-server-client /O=system:masters/CN=kube-apiserver-kubelet-client
    certificate "$folder" front-proxy-authority front-proxy /CN=front-proxy-client
    certificate "$folder" authority admin /O=system:masters/CN=admin
}
