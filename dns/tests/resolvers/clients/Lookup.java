// Looks names up as the JVM does: a line for each name on the standard input, its addresses or what went wrong.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.UnknownHostException;

class Lookup {
    public static void main(String[] arguments) throws Exception {
        BufferedReader names = new BufferedReader(new InputStreamReader(System.in));
        for (String name = names.readLine(); name != null; name = names.readLine()) {
            StringBuilder said = new StringBuilder(name);
            try {
                for (InetAddress address : InetAddress.getAllByName(name)) {
                    said.append(' ').append(address.getHostAddress());
                }
            } catch (UnknownHostException error) {
                said.append(" ! ").append(error.getMessage());
            }
            System.out.println(said);
        }
    }
}
