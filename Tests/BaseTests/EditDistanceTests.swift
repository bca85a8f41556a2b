import Base
import Testing

@Suite struct EditDistanceTests {
    @Test func `a change, a gap and neighbours that changed places count one each`() {
        #expect(EditDistance.between("ab", "ba") == 1)
        #expect(EditDistance.between("kitten", "sitting") == 3)
        #expect(EditDistance.between("", "abc") == 3 && EditDistance.between("abc", "") == 3)
        #expect(EditDistance.between("listen", "listen") == 0)
    }

    @Test func `only a near word is suggested`() {
        let known = ["listen", "label", "log-level"]
        #expect(EditDistance.nearest(to: "lisent", in: known) == "listen")
        #expect(EditDistance.nearest(to: "LABEL", in: known) == "label")
        #expect(EditDistance.nearest(to: "log-levle", in: known) == "log-level")
        #expect(EditDistance.nearest(to: "volumes", in: known) == nil)
        #expect(EditDistance.nearest(to: "listen", in: []) == nil)
    }
}
